// Brings the folder to what the guest's file system holds. Files that are there are replaced by a rename, and are deleted only
// once their clusters are free: what a guest is moving just now is never lost between its two places.

import Block
import Glibc

extension VVFATDisk {
    /// Does nothing if the guest has written nothing since. - Parameter isLast: what does not fit together is an error.
    /// - Throws: `corrupt`: the guest's file system is not consistent (only if `isLast`); or the host's error.
    func update(isLast: Bool = false) throws(BlockError) {
        guard let written, written.isPending else { return }
        let plan: Plan
        do {
            var reader = try FATReader(layout, head: image.head) { (offset, count) throws(BlockError) in try self.bytes(offset, count) }
            plan = Plan(top, try reader.tree(), isLost: { reader.isLost($0) })
        } catch where error.kind == .corrupt {
            guard isLast else { return }
            throw BlockError(.corrupt, "the folder was not changed further: the guest's file system does not fit together: \(error.text)", file: folder.name)
        }
        try carryOut(plan, written)
        written.isPending = false
    }

    /// The steps from the folder to the guest's tree.
    private final class Plan {
        /// A file or folder of the guest's, its parent before it.
        struct Step {
            let guest: GuestItem
            /// What it was.
            let item: FolderItem?
            /// Index of the parent's step; nil: the top folder.
            let parent: Int?
        }
        private(set) var steps: [Step] = []
        private var kept: Set<ObjectIdentifier> = []
        /// They are nowhere in the guest's tree, and their clusters are free, or another's.
        private(set) var removed: [FolderItem] = []

        init(_ top: FolderItem, _ tree: GuestItem, isLost: (UInt32) -> Bool) {
            var byCluster: [UInt32: FolderItem] = [:], clusters: Set<UInt32> = []
            top.visit { if $0.firstCluster != 0 { byCluster[$0.firstCluster] = $0 } }
            func collect(_ item: GuestItem) { for child in item.children { clusters.insert(child.firstCluster); collect(child) } }
            collect(tree)
            kept.insert(ObjectIdentifier(top))
            func pair(_ guest: GuestItem, with item: FolderItem?, parent: Int?) {
                for child in guest.children {
                    /// One by the same name, unless its clusters are another's now; else one with the same clusters.
                    let sameName = item?.children[child.name].flatMap { $0.firstCluster == child.firstCluster || $0.firstCluster == 0 || !clusters.contains($0.firstCluster) ? $0 : nil }
                    let candidates = [sameName, child.firstCluster == 0 ? nil : byCluster[child.firstCluster]]
                    let match = candidates.lazy.compactMap { $0 }.first { $0.isDirectory == child.isDirectory && !self.kept.contains(ObjectIdentifier($0)) }
                    if let match { kept.insert(ObjectIdentifier(match)) }
                    var alone = child
                    alone.children = []
                    steps.append(Step(guest: alone, item: match, parent: parent))
                    if child.isDirectory { pair(child, with: match, parent: steps.count - 1) }
                }
            }
            pair(tree, with: top, parent: nil)
            top.visit { if !isKept($0), !isLost($0.firstCluster) { removed.append($0) } }
        }

        func isKept(_ item: FolderItem) -> Bool { kept.contains(ObjectIdentifier(item)) }
    }

    private func carryOut(_ plan: Plan, _ written: WrittenSectors) throws(BlockError) {
        func changes(_ guest: GuestItem, _ item: FolderItem) -> Bool { guest.size != item.size || guest.chain != item.chain || written.isFresh(guest.chain) }
        // First, what will be overwritten is kept: other files may have its clusters now.
        for step in plan.steps { if let item = step.item, !item.isDirectory, changes(step.guest, item) { try detach(item) } }
        for item in plan.removed { try detach(item) }

        var placed: [FolderItem] = []
        placed.reserveCapacity(plan.steps.count)
        for step in plan.steps {
            let guest = step.guest, parent = step.parent.map { placed[$0] } ?? top
            if let item = step.item {
                if item.parent !== parent || item.fatName != guest.name { try move(item, to: parent, as: guest.name, plan) }
                if !item.isDirectory, changes(guest, item) {
                    try store(guest, item.path, replaces: true)
                } else if !item.isDirectory, guest.isReadOnly != item.isReadOnly { try folder.setReadOnly(item.path, guest.isReadOnly) }
                accept(guest, item, written)
                placed.append(item)
                continue
            }
            let replaced = try vacate(parent, guest.name, plan, mayReplace: !guest.isDirectory)
            let item = FolderItem(hostName: replaced?.hostName ?? guest.name, fatName: guest.name, isDirectory: guest.isDirectory)
            let path = parent.path + (parent.path.isEmpty ? [] : [UInt8(ascii: "/")]) + item.hostName
            if guest.isDirectory { try folder.makeFolder(path) } else { try store(guest, path, replaces: replaced != nil) }
            if let replaced { parent.remove(replaced) }
            parent.add(item)
            accept(guest, item, written)
            placed.append(item)
        }
        // What the folders held goes before them.
        for item in plan.removed.sorted(by: { $0.path.count > $1.path.count }) {
            guard let parent = item.parent, item.children.isEmpty else { continue }
            try remove(item)
            parent.remove(item)
        }
    }

    private func accept(_ guest: GuestItem, _ item: FolderItem, _ written: WrittenSectors) {
        item.size = guest.size
        item.chain = guest.chain
        item.isReadOnly = guest.isReadOnly
        if !item.isDirectory { written.settle(guest.chain) }
    }

    private func store(_ guest: GuestItem, _ path: [UInt8], replaces: Bool) throws(BlockError) {
        try folder.write(path, replaces: replaces, isReadOnly: guest.isReadOnly, modified: guest.modified, size: UInt64(guest.size)) { (offset, buffer) throws(BlockError) in
            try read(guest.chain, offset, buffer)
        }
    }

    private func move(_ item: FolderItem, to parent: FolderItem, as name: [UInt8], _ plan: Plan) throws(BlockError) {
        let replaced = try vacate(parent, name, plan, mayReplace: !item.isDirectory)
        let hostName = item.fatName == name ? item.hostName : replaced?.hostName ?? name
        let path = parent.path + (parent.path.isEmpty ? [] : [UInt8(ascii: "/")]) + hostName
        try folder.rename(item.path, to: path, replaces: replaced != nil)
        if let replaced { parent.remove(replaced) }
        item.parent?.remove(item)
        item.hostName = hostName
        item.fatName = name
        parent.add(item)
    }

    /// Makes a name free: who has it is put aside, to be moved or removed later.
    /// - Returns: a file that has the name still and that nobody wants: it can be replaced.
    private func vacate(_ parent: FolderItem, _ name: [UInt8], _ plan: Plan, mayReplace: Bool) throws(BlockError) -> FolderItem? {
        guard let occupant = parent.children[name] else { return nil }
        if mayReplace, !occupant.isDirectory, !plan.isKept(occupant) {
            try detach(occupant)
            return occupant
        }
        let aside = HostFolder.temporaryName()
        let path = parent.path + (parent.path.isEmpty ? [] : [UInt8(ascii: "/")]) + aside
        try folder.rename(occupant.path, to: path, replaces: false)
        parent.remove(occupant)
        occupant.hostName = aside
        occupant.fatName = aside
        parent.add(occupant)
        return nil
    }

    private func remove(_ item: FolderItem) throws(BlockError) {
        do {
            if item.isDirectory { try folder.removeFolder(item.path) } else { try folder.removeFile(item.path) }
        } catch {
            // Links and other things in it that the guest never saw stay, and so does the folder.
            guard error.number == ENOTEMPTY || error.number == EEXIST || error.number == ENOENT else { throw error }
        }
    }
}
