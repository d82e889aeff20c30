// Transfer rings (xHCI 1.0 sections 4.10, 4.11 and 6.4.1): requests become transfers of devices, and events tell how they went.
//
// A transfer begins once all of its requests are in the ring, and the ring moves on once it has ended: an endpoint that stops
// or a device that is reset leaves it where it was.

import Core

extension XHCIController {
    private enum Size {
        /// Requests and bytes of one transfer.
        static let requests = 4096, bytes = 64 << 20
    }

    /// Does transfers of an endpoint, until there were `maximum` requests or nothing is left. - Returns: requests that were looked
    /// at, fewer than `maximum` if nothing is left.
    func run(_ number: Int, _ index: Int, _ maximum: Int) -> Int {
        guard let memory, let slot = slots[number], let endpoint = slot.endpoints[index] else { return 0 }
        var count = 0
        while count < maximum {
            guard isRunning, !isBlocked, endpoint.state == .running, !endpoint.isPending, slots[number]?.endpoints[index] === endpoint else { return count }
            if endpoint.active == nil {
                let (transfer, isWhole) = take(endpoint, memory)
                count += max(1, transfer.parts.count)
                guard isWhole else { return min(count, maximum - 1) }
                endpoint.active = transfer
            }
            guard let transfer = endpoint.active else { return count }
            let result = carry(transfer, slot, endpoint, index)
            switch result {
            case .nak: return min(count, maximum - 1)
            case .pending:
                endpoint.isPending = true
                return min(count, maximum - 1)
            default:
                count += 1
                finish(number, index, endpoint, transfer, result)
            }
        }
        return count
    }

    private func carry(_ transfer: XHCITransfer, _ slot: XHCISlot, _ endpoint: XHCIEndpoint, _ index: Int) -> USBResult {
        guard transfer.failure == nil else { return .failed }
        if transfer.parts.allSatisfy({ $0.request.kind == TransferRequest.Kind.noOperation }) { return .done(0) }
        guard let device = device(of: slot) else { return .failed }
        if let setup = transfer.setup {
            guard index == 1 else { return .failed }
            // The driver has addresses given by a command, never by the request itself.
            return device.control(setup, transfer.data)
        }
        let isIn = endpoint.type > 4
        return device.transfer(UInt8(index / 2) | (isIn ? 0x80 : 0), transfer.data)
    }

    // MARK: rings to transfers

    /// The next transfer of a ring, and whether all of it is there yet.
    private func take(_ endpoint: XHCIEndpoint, _ memory: GuestMemory) -> (XHCITransfer, isWhole: Bool) {
        var ring = endpoint.ring, transfer = XHCITransfer(), hasStatus = false
        while transfer.parts.count < Size.requests {
            let found = ring.next(memory)
            transfer.next = ring
            switch found {
            case .none: return (transfer, false)
            case .broken:
                transfer.failure = XHCICode.request
                return (transfer, true)
            case .request(let request, let address):
                transfer.parts.append(.init(request: request, address: address))
                transfer.failure = add(request, address, transfer.parts.count == 1, endpoint, &transfer, memory)
                guard transfer.failure == nil else { return (transfer, true) }
                hasStatus = hasStatus || request.kind == TransferRequest.Kind.status
                // A control transfer goes on to its status stage, whatever its chain bits say.
                if !request.isChained, transfer.setup == nil || hasStatus { return (transfer, true) }
            }
        }
        transfer.failure = XHCICode.request
        return (transfer, true)
    }

    /// Adds a request's data to a transfer. - Returns: why it cannot be.
    private func add(_ request: TransferRequest, _ address: UInt64, _ isFirst: Bool, _ endpoint: XHCIEndpoint, _ transfer: inout XHCITransfer, _ memory: GuestMemory) -> UInt32? {
        typealias Kind = TransferRequest.Kind
        switch request.kind {
        case Kind.noOperation, Kind.eventData: return nil
        case Kind.setup:
            guard endpoint.isControl, isFirst, request.isImmediate, request.length == 8 else { return XHCICode.request }
            transfer.setup = USBSetup(request.parameter)
            return nil
        case Kind.status: return transfer.setup == nil ? XHCICode.request : nil
        case Kind.data:
            guard let setup = transfer.setup, request.isIn == setup.isIn else { return XHCICode.request }
        case Kind.normal: guard !endpoint.isControl || transfer.setup != nil else { return XHCICode.request }
        case Kind.isochronous: guard endpoint.isIsochronous, isFirst else { return XHCICode.request }
        default: return XHCICode.request
        }
        let isIn = transfer.setup?.isIn ?? (endpoint.type > 4), length = request.length
        guard length > 0 else { return nil }
        guard transfer.data.count + length <= Size.bytes else { return XHCICode.request }
        guard !request.isImmediate || length <= 8 && !isIn else { return XHCICode.request }
        // Immediate data lie in the request itself.
        guard let pieces = GuestPieces(memory, request.isImmediate ? address : request.parameter, length, writable: isIn) else { return XHCICode.dataBuffer }
        transfer.data.append(contentsOf: pieces)
        return nil
    }

    // MARK: transfers to events

    /// A transfer is over: the driver is told, and the ring moves on or halts.
    func finish(_ number: Int, _ index: Int, _ endpoint: XHCIEndpoint, _ transfer: XHCITransfer, _ result: USBResult) {
        endpoint.drop()
        let control = UInt32(number) << 24 | UInt32(index) << 16 | UInt32(TransferRequest.Kind.transferEvent) << 10
        guard case .done(let count) = result else {
            let code = transfer.failure ?? (result == .stall ? XHCICode.stall : XHCICode.transaction)
            tellFailure(transfer, code, control)
            if endpoint.isIsochronous, code == XHCICode.transaction {
                // Nobody waits for an answer there: the next one has its turn.
                endpoint.ring = transfer.next
                return
            }
            endpoint.state = code == XHCICode.request ? .error : .halted
            if let memory { endpoint.publish(memory) }
            return
        }
        endpoint.ring = transfer.next
        tell(transfer, count, control)
    }

    private func event(_ part: XHCITransfer.Part, _ code: UInt32, _ left: Int, _ control: UInt32) {
        let request = part.request
        postEvent(request.interrupter, TransferRequest(parameter: part.address, status: code << 24 | UInt32(left & 0xff_ffff), control: control), isQuiet: request.blocksInterrupt)
    }

    /// The request that failed is the first with data, else the last one.
    private func tellFailure(_ transfer: XHCITransfer, _ code: UInt32, _ control: UInt32) {
        typealias Kind = TransferRequest.Kind
        let isOwn = transfer.failure != nil
        let part = isOwn ? transfer.parts.last : transfer.parts.first { [Kind.normal, Kind.data, Kind.isochronous].contains($0.request.kind) } ?? transfer.parts.last
        guard let part else { return event(.init(request: TransferRequest(parameter: 0, status: 0, control: 0), address: transfer.next.dequeue), code, 0, control) }
        event(part, code, part.request.length, control)
    }

    /// Events that requests ask for, and for a short packet.
    private func tell(_ transfer: XHCITransfer, _ count: Int, _ control: UInt32) {
        typealias Kind = TransferRequest.Kind
        var left = count, moved = 0, isShort = false, hasTold = false
        for part in transfer.parts {
            let request = part.request
            switch request.kind {
            case Kind.eventData:
                guard request.wantsEvent else { break }
                let code = isShort ? XHCICode.shortPacket : XHCICode.success
                postEvent(request.interrupter, TransferRequest(parameter: request.parameter, status: code << 24 | UInt32(moved & 0xff_ffff), control: control | 4), isQuiet: request.blocksInterrupt)
                moved = 0
            case Kind.setup, Kind.noOperation: if request.wantsEvent { event(part, XHCICode.success, 0, control) }
            case Kind.status:
                (isShort, moved) = (false, 0)
                if request.wantsEvent { event(part, XHCICode.success, 0, control) }
            default:
                let done = min(request.length, left)
                left -= done
                moved += done
                if done < request.length { isShort = true }
                // One event tells of a short packet; those behind it say nothing.
                guard !hasTold, isShort ? request.wantsShortEvent || request.wantsEvent : request.wantsEvent else { break }
                hasTold = isShort
                event(part, isShort ? XHCICode.shortPacket : XHCICode.success, request.length - done, control)
            }
        }
    }
}
