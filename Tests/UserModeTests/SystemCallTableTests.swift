import Testing
import UserMode

/// The shared table as a whole.
@Suite struct SystemCallTableTests {
    @Test func namesAreUnique() {
        var seen: Set<String> = []
        #expect(SystemCallTable.names.filter { !seen.insert($0).inserted } == [])
    }

    /// Every call of the generic table has a row, if only to refuse it; these have none and answer ENOSYS as unknown.
    @Test func genericCallsHaveRows() {
        let without: Set<String> = [
            "migrate_pages", "move_pages", "set_mempolicy_home_node", "pkey_mprotect", "pkey_alloc", "pkey_free",
            "futex_requeue", "futex_wait", "futex_wake", "listmount", "statmount", "lsm_get_self_attr",
            "lsm_list_modules", "lsm_set_self_attr", "map_shadow_stack", "mseal", "process_madvise",
        ]
        let names = Set(SystemCallTable.names)
        let missing = GenericSystemCalls.numbers(adding: [:]).values.filter { !names.contains($0) && !without.contains($0) }
        #expect(missing.sorted() == [])
    }
}
