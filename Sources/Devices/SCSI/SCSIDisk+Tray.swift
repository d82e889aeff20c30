// The tray of a drive with a removable medium: START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL, GET EVENT STATUS NOTIFICATION
// (MMC-5 6.29, 6.18, 6.6), and the button that monitors press.

import Core

extension SCSIDisk {
    private enum Event { static let ejectRequest: UInt8 = 1, newMedium: UInt8 = 2, removal: UInt8 = 3 }

    func preventRemoval(_ request: SCSIRequest) -> SCSIReply {
        state.withLock { $0.isLocked = request.byte(4) & 1 != 0 }
        return .good()
    }

    func startStop(_ request: SCSIRequest) -> SCSIReply {
        let wishes = request.byte(4)
        guard isRemovable, wishes & 2 != 0, wishes >> 4 == 0 else { return .good() }
        let opens = wishes & 1 == 0
        guard !opens || !isTrayLocked else { return .check(.removalPrevented) }
        moveTray(isOpen: opens)
        return .good()
    }

    /// Media events, polled.
    func eventStatus(_ request: SCSIRequest) -> SCSIReply {
        guard request.byte(1) & 1 != 0 else { return .check(.invalidField) }
        guard request.byte(4) & 0x10 != 0 else { return answer(request, [0, 2, 0x80, 0x10], allocation: request.field(7, 2)) }
        let (event, isOpen) = state.withLock { state in
            let event = state.mediaEvent
            state.mediaEvent = 0
            return (event, state.isEjected)
        }
        return answer(request, [0, 6, 4, 0x10, event, isOpen ? 1 : disk.isEmpty ? 0 : 2, 0, 0], allocation: request.field(7, 2))
    }

    // MARK: RemovableDrive

    public var isTrayOpen: Bool { state.withLock { $0.isEjected } }
    public var isTrayLocked: Bool { state.withLock { $0.isLocked } }

    public func requestEjection(unlocks: Bool) {
        state.withLock { state in
            state.mediaEvent = Event.ejectRequest
            if unlocks { state.isLocked = false }
        }
    }

    public func moveTray(isOpen: Bool) {
        let isFull = !disk.isEmpty
        let told = state.withLock { state -> (@Sendable (Bool) -> Void)? in
            guard state.isEjected != isOpen else { return nil }
            state.isEjected = isOpen
            state.mediaEvent = isOpen ? Event.removal : isFull ? Event.newMedium : 0
            // The medium may have changed.
            if !isOpen { state.attention = 0x28 }
            return state.trayMoved
        }
        told?(isOpen)
    }

    public func onTrayMove(_ body: @escaping @Sendable (_ isOpen: Bool) -> Void) { state.withLock { $0.trayMoved = body } }
}
