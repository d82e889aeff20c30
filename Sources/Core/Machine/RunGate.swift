// Where threads wait until a machine that has stopped goes on.

import Host

/// The gate of one machine: requests of disks that stopped it wait here, to be done again.
public final class RunGate: Sendable {
    private struct State: Sendable {
        var openings: UInt64 = 0
        var dismissals: UInt64 = 0
    }
    private let state = Waiting(State())

    public init() {}

    /// What a thread takes before it asks for the machine to stop: an opening after that lets it through.
    public struct Ticket: Sendable {
        fileprivate let openings: UInt64, dismissals: UInt64
    }
    public var ticket: Ticket { state.look { Ticket(openings: $0.openings, dismissals: $0.dismissals) } }

    /// - Parameter isPointless: looked at some times a second: nobody wants any more what the thread waits to do.
    /// - Returns: whether the machine goes on; false: whoever waits is to give up.
    public func wait(_ ticket: Ticket, _ isPointless: () -> Bool) -> Bool {
        while !isPointless() {
            let answer = state.wait(seconds: 0.05) { state -> Bool? in
                if state.dismissals != ticket.dismissals { return false }
                return state.openings != ticket.openings ? true : nil
            }
            if let answer { return answer }
        }
        return false
    }

    /// The machine goes on.
    public func open() { state.change { $0.openings &+= 1 } }
    /// It is reset, or ends: nobody waits any more.
    public func dismiss() { state.change { $0.dismissals &+= 1 } }
}
