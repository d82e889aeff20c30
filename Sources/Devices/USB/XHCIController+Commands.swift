// The command ring (xHCI 1.0 sections 4.6 and 6.4.3): slots, addresses, configurations, endpoints that stop and go on.

import Core

extension XHCIController {
    /// Does at most `maximum` commands. - Returns: how many there were.
    func runCommands(_ maximum: Int) -> Int {
        guard let memory else { return 0 }
        for count in 0 ..< maximum {
            guard isRunning, isCommandRingRunning, !isBlocked else { return count }
            switch commandRing.next(memory) {
            case .none: return count
            case .broken:
                isCommandRingRunning = false
                postEvent(0, TransferRequest(parameter: commandRing.dequeue, status: XHCICode.request << 24, control: UInt32(TransferRequest.Kind.completionEvent) << 10))
                return count
            case .request(let request, let address):
                let firmware = request.kind == TransferRequest.Kind.firmwareVersion && kind == .nec
                let (code, slot) = firmware ? (XHCICode.success, 0) : perform(request, memory)
                // NEC's own command is answered with the version of its firmware.
                let event = firmware ? TransferRequest.Kind.firmwareEvent : TransferRequest.Kind.completionEvent
                postEvent(0, TransferRequest(parameter: address, status: code << 24 | (firmware ? 0x3025 : 0), control: UInt32(slot) << 24 | UInt32(event) << 10))
            }
        }
        return maximum
    }

    private func perform(_ request: TransferRequest, _ memory: GuestMemory) -> (code: UInt32, slot: Int) {
        typealias Kind = TransferRequest.Kind
        switch request.kind {
        case Kind.commandNoOperation: return (XHCICode.success, 0)
        case Kind.enableSlot:
            guard let free = (1 ... slotCount).first(where: { slots[$0] == nil }) else { return (XHCICode.noSlots, 0) }
            slots[free] = XHCISlot()
            return (XHCICode.success, free)
        case Kind.disableSlot ... Kind.resetDevice: break
        default: return (XHCICode.request, 0)
        }
        let number = request.slot
        guard let slot = slots[number] else { return (XHCICode.slotNotEnabled, number) }
        let code = switch request.kind {
        case Kind.disableSlot: disable(number, slot, memory)
        case Kind.addressDevice: address(request, number, slot, memory)
        case Kind.configureEndpoint: configure(request, number, slot, memory)
        case Kind.evaluateContext: evaluate(request, slot, memory)
        case Kind.resetDevice: resetDevice(slot, memory)
        default: changeEndpoint(request, number, slot, memory)
        }
        return (code, number)
    }

    // MARK: slots

    private func disable(_ number: Int, _ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        abandon(slot)
        if slot.context != 0 { publish(slot, .enabled, 0, memory) }
        slots[number] = nil
        return XHCICode.success
    }

    /// Nothing of the slot's device goes on.
    private func abandon(_ slot: XHCISlot) {
        if slot.endpoints.values.contains(where: \.isPending) { device(of: slot)?.abandon() }
        for endpoint in slot.endpoints.values { endpoint.drop() }
    }

    /// Writes slot state and address (section 6.2.2).
    private func publish(_ slot: XHCISlot, _ state: XHCISlot.State, _ address: Int, _ memory: GuestMemory) {
        slot.state = state
        memory.store(slot.context &+ 12, state.rawValue << 27 | UInt32(address & 0xff))
    }

    private func address(_ request: TransferRequest, _ number: Int, _ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        let input = request.parameter & ~15, keepsAddress = request.control & 0x200 != 0
        guard let bytes = memory.bytes(input, 96), let context = memory.load(contextArray &+ UInt64(number) * 8, as: UInt64.self) else { return XHCICode.request }
        let dropped: UInt32 = bytes.number(0), added: UInt32 = bytes.number(4)
        guard dropped & ~3 == 0, added & 3 == 3 else { return XHCICode.parameter }
        guard slot.state == .enabled || slot.state == .initial && !keepsAddress else { return XHCICode.contextState }
        let route: UInt32 = bytes.number(32, as: UInt32.self) & 0xfffff, port = Int(bytes[38])
        guard (1 ... ports.count).contains(port) else { return XHCICode.parameter }
        // There are no hubs.
        guard let device = device(behind: port - 1), ports[port - 1].isEnabled, route == 0 else { return XHCICode.transaction }
        guard !slots.contains(where: { $0.key != number && $0.value.port == device.port }) else { return XHCICode.parameter }
        let control = Array(bytes[64 ..< 96])
        guard let endpoint = makeEndpoint(control, at: (context & ~63) &+ 32), endpoint.isControl else { return XHCICode.parameter }
        slot.context = context & ~63
        slot.port = device.port
        slot.endpoints[1]?.drop()
        slot.endpoints[1] = endpoint
        guard memory.write(slot.context, bytes: Array(bytes[32 ..< 64])), memory.write(slot.context &+ 32, bytes: control) else { return XHCICode.request }
        endpoint.publish(memory)
        device.address = keepsAddress ? 0 : UInt8(number)
        publish(slot, keepsAddress ? .initial : .addressed, keepsAddress ? 0 : number, memory)
        return XHCICode.success
    }

    /// An endpoint from its context (section 6.2.3); nil: it cannot be.
    private func makeEndpoint(_ bytes: [UInt8], at context: UInt64) -> XHCIEndpoint? {
        guard bytes.count >= 32 else { return nil }
        let type = bytes.number(4, as: UInt32.self) >> 3 & 7, pointer: UInt64 = bytes.number(8)
        // No streams: the pointer is a ring's.
        guard type != 0, bytes.number(0, as: UInt32.self) >> 10 & 31 == 0 else { return nil }
        return XHCIEndpoint(context: context, type: type, ring: RequestRing(dequeue: pointer & ~15, cycle: pointer & 1 != 0))
    }

    private func configure(_ request: TransferRequest, _ number: Int, _ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        guard slot.state == .addressed || slot.state == .configured else { return XHCICode.contextState }
        if request.control & 0x200 != 0 {
            for index in 2 ... 31 { remove(index, slot, memory) }
            publish(slot, .addressed, number, memory)
            return XHCICode.success
        }
        let input = request.parameter & ~15
        guard let bytes = memory.bytes(input, 33 * 32) else { return XHCICode.request }
        let dropped: UInt32 = bytes.number(0), added: UInt32 = bytes.number(4)
        guard dropped & 3 == 0, added & 3 == 1 else { return XHCICode.parameter }
        var made: [(Int, XHCIEndpoint, [UInt8])] = []
        for index in 2 ... 31 where added >> UInt32(index) & 1 != 0 {
            let context = Array(bytes[(index + 1) * 32 ..< (index + 2) * 32])
            guard let endpoint = makeEndpoint(context, at: slot.context &+ UInt64(index) * 32), endpoint.isControl || (endpoint.type > 4) == (index & 1 != 0) else { return XHCICode.parameter }
            guard slot.endpoints[index] == nil || dropped >> UInt32(index) & 1 != 0 else { return XHCICode.parameter }
            made.append((index, endpoint, context))
        }
        for index in 2 ... 31 where dropped >> UInt32(index) & 1 != 0 { remove(index, slot, memory) }
        for (index, endpoint, context) in made {
            memory.write(endpoint.context, bytes: context)
            endpoint.publish(memory)
            slot.endpoints[index] = endpoint
        }
        // Context entries: the last endpoint that counts.
        if let word = memory.load(slot.context, as: UInt32.self) { memory.store(slot.context, word & ~(31 << 27) | UInt32(slot.endpoints.keys.max() ?? 1) << 27) }
        publish(slot, slot.endpoints.count > 1 ? .configured : .addressed, number, memory)
        return XHCICode.success
    }

    private func remove(_ index: Int, _ slot: XHCISlot, _ memory: GuestMemory) {
        guard let endpoint = slot.endpoints.removeValue(forKey: index) else { return }
        if endpoint.isPending { device(of: slot)?.abandon() }
        endpoint.drop()
        endpoint.state = .disabled
        endpoint.publish(memory)
    }

    private func evaluate(_ request: TransferRequest, _ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        guard slot.state != .enabled else { return XHCICode.contextState }
        guard let bytes = memory.bytes(request.parameter & ~15, 96) else { return XHCICode.request }
        let dropped: UInt32 = bytes.number(0), added: UInt32 = bytes.number(4)
        guard dropped == 0, added & ~3 == 0 else { return XHCICode.parameter }
        if added & 1 != 0, let second = memory.load(slot.context &+ 4, as: UInt32.self), let third = memory.load(slot.context &+ 8, as: UInt32.self) {
            // Exit latency and interrupter.
            memory.store(slot.context &+ 4, second & ~0xffff | bytes.number(36, as: UInt32.self) & 0xffff)
            memory.store(slot.context &+ 8, third & 0x3f_ffff | bytes.number(40, as: UInt32.self) & ~0x3f_ffff)
        }
        if added & 2 != 0, let second = memory.load(slot.context &+ 36, as: UInt32.self) {
            memory.store(slot.context &+ 36, second & 0xffff | bytes.number(68, as: UInt32.self) & ~0xffff)
        }
        return XHCICode.success
    }

    private func resetDevice(_ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        guard slot.state == .addressed || slot.state == .configured else { return XHCICode.contextState }
        abandon(slot)
        for index in 2 ... 31 { remove(index, slot, memory) }
        device(of: slot)?.address = 0
        if let word = memory.load(slot.context, as: UInt32.self) { memory.store(slot.context, word & ~(31 << 27) | 1 << 27) }
        publish(slot, .initial, 0, memory)
        return XHCICode.success
    }

    // MARK: endpoints

    private func changeEndpoint(_ request: TransferRequest, _ number: Int, _ slot: XHCISlot, _ memory: GuestMemory) -> UInt32 {
        typealias Kind = TransferRequest.Kind
        guard request.endpoint > 0 else { return XHCICode.request }
        guard let endpoint = slot.endpoints[request.endpoint] else { return XHCICode.contextState }
        switch request.kind {
        case Kind.stopEndpoint:
            // What the device works on ends first, as well as it may.
            if endpoint.isPending { device(of: slot)?.settle() }
            guard endpoint.state == .running else { return XHCICode.contextState }
            if let first = endpoint.active?.parts.first {
                let control = UInt32(number) << 24 | UInt32(request.endpoint) << 16 | UInt32(Kind.transferEvent) << 10
                postEvent(first.request.interrupter, TransferRequest(parameter: first.address, status: XHCICode.stopped << 24 | UInt32(first.request.length), control: control))
            }
            endpoint.drop()
            endpoint.state = .stopped
        case Kind.resetEndpoint:
            guard endpoint.state == .halted else { return XHCICode.contextState }
            endpoint.state = .stopped
        case Kind.setDequeue:
            guard endpoint.state == .stopped || endpoint.state == .error else { return XHCICode.contextState }
            endpoint.ring = RequestRing(dequeue: request.parameter & ~15, cycle: request.parameter & 1 != 0)
            endpoint.state = .stopped
        default: return XHCICode.request
        }
        endpoint.publish(memory)
        return XHCICode.success
    }
}
