// luks: adding and removing passwords (`amend`). The material of a slot is safe in the file before the header says that the
// slot is active, and overwritten before it says that it is not: a loss of power in between leaves slots that no password
// opens, never one that opens though it was taken away.

import Block

extension LUKSVolume {
    static func amendOptions(prefix: String) -> [OptionDeclaration] {
        [
            OptionDeclaration(prefix + "state", .choice(["active", "inactive"]), "Select new state of affected keyslots (active/inactive)"),
            OptionDeclaration(prefix + "keyslot", .number, "Select a single keyslot to modify explicitly"),
            OptionDeclaration(prefix + "old-secret", .text, "Select all keyslots that match this password"),
            OptionDeclaration(prefix + "new-secret", .text, "New secret to set in the matching keyslots. Empty string to erase"),
            OptionDeclaration(prefix + "iter-time", .number, "Time to spend in PBKDF in milliseconds"),
        ]
    }

    /// Whether the options ask for a change of the key slots.
    static func isAsked(_ options: OptionValues, prefix: String) -> Bool { amendOptions(prefix: prefix).contains { options.has($0.name) } }

    /// Does what the options ask for. - Parameter force: also what makes the image unreadable for ever.
    mutating func amend(_ options: OptionValues, prefix: String, force: Bool, _ secrets: NamedFiles) throws(BlockError) {
        guard let state = options.text(prefix + "state") else { throw .invalid("Parameter '\(prefix)state' is missing: expected active or inactive") }
        var slot: Int?
        if let number = options.number(prefix + "keyslot") {
            guard number < UInt64(header.slots.count) else { throw .invalid("Invalid keyslot \(number): expected 0 to \(header.slots.count - 1)") }
            slot = Int(number)
        }
        let old = options.text(prefix + "old-secret"), new = options.text(prefix + "new-secret")
        if state == "active" {
            guard let new else { throw .invalid("'\(prefix)new-secret' is required to activate a keyslot") }
            if old != nil { throw .invalid("'\(prefix)old-secret' must not be given when activating keyslots") }
            try add(password: try secrets.secret(new), slot, options.number(prefix + "iter-time") ?? 2000, force: force, secrets)
        } else {
            if new != nil { throw .invalid("'\(prefix)new-secret' must not be given when erasing keyslots") }
            if options.has(prefix + "iter-time") { throw .invalid("'\(prefix)iter-time' must not be given when erasing keyslots") }
            try remove(try old.map { (id) throws(BlockError) in try secrets.secret(id) }, slot, force: force)
        }
    }

    private func read(_ offset: UInt64, _ count: Int) throws(BlockError) -> [UInt8] { try file.bytes(origin &+ offset, count) }

    private mutating func add(password: [UInt8], _ wanted: Int?, _ milliseconds: UInt64, force: Bool, _ secrets: NamedFiles) throws(BlockError) {
        guard let slot = wanted ?? header.slots.firstIndex(where: { !$0.isActive }) else { throw .invalid("Can't add a keyslot - all keyslots are in use") }
        if header.slots[slot].isActive, !force { throw .invalid("Refusing to overwrite active keyslot \(slot) - please erase it first") }
        guard let secret else { throw .invalid("the image was opened without a password: the master key is not known") }
        let key = try header.unlock(try secrets.secret(secret), read: read)
        // The old password's slot first, where one is replaced.
        if header.slots[slot].isActive { try erase([slot]) }
        var changed = header
        let material = try changed.setSlot(slot, key: key, password: password, milliseconds: milliseconds)
        try file.write(origin &+ header.material(of: header.slots[slot]).lowerBound, bytes: material)
        try file.flush()
        try write(changed)
    }

    private mutating func remove(_ password: [UInt8]?, _ wanted: Int?, force: Bool) throws(BlockError) {
        let active = header.slots.indices.filter { header.slots[$0].isActive }
        var chosen: [Int] = []
        if let password {
            for index in active where wanted == nil || wanted == index {
                if try header.key(slot: header.slots[index], password, read: read) != nil { chosen.append(index) }
            }
            if chosen.isEmpty {
                throw .invalid(wanted.map { "Given keyslot \($0) doesn't contain the given old password / is not active" } ?? "No keyslots match given (old) password for erase operation")
            }
        } else if let wanted {
            // Erasing what is empty is no error, as in QEMU.
            guard header.slots[wanted].isActive else { return }
            chosen = [wanted]
        } else { throw .invalid("To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given") }
        if chosen.count == active.count, !force {
            throw .invalid("erasing \(chosen.count == 1 ? "the only active keyslot \(chosen[0])" : "all active keyslots") would make all the data in the image unreadable for ever: refused without --force")
        }
        try erase(chosen)
    }

    private mutating func erase(_ chosen: [Int]) throws(BlockError) {
        var changed = header
        for index in chosen {
            let place = header.material(of: header.slots[index])
            try file.write(origin &+ place.lowerBound, bytes: LUKSHeader.random(Int(place.upperBound - place.lowerBound)))
            changed.clearSlot(index)
        }
        try file.flush()
        try write(changed)
    }

    private mutating func write(_ changed: LUKSHeader) throws(BlockError) {
        try file.write(origin, bytes: changed.encoded())
        try file.flush()
        header = changed
    }
}
