// How disks and their kin do requests. While they are done at once (small ones, in the host's page cache), the vCPU that
// tells of them does them itself: no thread has to wake up. What takes longer goes to worker threads: one does a whole
// batch, or, once the image is slow, every request has its own, so that many are under way.

import Core
import Host

/// Requests of a device's queues on their way to workers and back. Used under the device's lock.
final class RequestWorkers<Request: Sendable, Answer: Sendable> {
    private typealias Finished = (request: Request, answer: Answer)

    /// What workers share with the device.
    private final class Shared: Sendable {
        let inFlight = InFlight()
        let finished = Locked<[Finished]>([])
        /// Batches that were handed to a thread and have not begun. Whoever waits for the device's requests does them itself:
        /// the threads may all be waiting for the lock that it holds.
        private let waiting = Locked<(next: Int, batches: [Int: [Request]])>((0, [:]))
        let run: @Sendable (Request) -> Answer
        private let pace = AtomicInt(0)
        /// Changes when requests under way need not wait for a stopped machine any more.
        let dismissals = AtomicInt(0)

        init(_ run: @escaping @Sendable (Request) -> Answer) { self.run = run }

        /// Keeps a batch until somebody claims it by the number.
        func keep(_ requests: [Request]) -> Int {
            waiting.withLock {
                $0.next &+= 1
                $0.batches[$0.next] = requests
                return $0.next
            }
        }
        func claim(_ number: Int) -> [Request]? { waiting.withLock { $0.batches.removeValue(forKey: number) } }
        /// Makes a batch of many requests that nobody has begun into as many of one each; none: it was no such batch.
        func split(_ number: Int) -> [Int] {
            waiting.withLock { waiting in
                guard let requests = waiting.batches[number], requests.count > 1 else { return [] }
                waiting.batches[number] = nil
                let numbers = requests.indices.map { waiting.next &+ 1 &+ $0 }
                for (number, request) in zip(numbers, requests) { waiting.batches[number] = [request] }
                waiting.next &+= requests.count
                return numbers
            }
        }
        func claimAll() -> [[Request]] {
            let batches = waiting.withLock { waiting in
                defer { waiting.batches = [:] }
                return waiting.batches
            }
            return batches.sorted { $0.key < $1.key }.map(\.value)
        }

        /// It pays to have many requests under way.
        var isSlow: Bool { pace.load() > 150_000 }
        /// A thread costs more than the request.
        var isQuick: Bool { pace.load() < 100_000 }
        /// Nanoseconds that a request took; older ones count for less and less, and one alone does not count for long.
        func note(pace new: UInt64) { pace.store((pace.load() * 3 + Int(clamping: min(new, 500_000))) / 4) }
    }

    private let shared: Shared
    private let take: (Int) -> [Request]
    private let isSmall: (Request) -> Bool
    private let finish: ([(request: Request, answer: Answer)]) -> Void
    private let taking: @Sendable (Int) -> Int?
    private let delivering: @Sendable () -> Void
    private let deliveringIfFree: @Sendable () -> Void
    private let pool: WorkerPool
    /// The thread that was asked for, and the claim to it.
    private let thread: IOThread?
    private let use: UseCount.Use?
    /// Queues that somebody is emptying.
    private var busy: Set<Int> = []

    /// How many requests a queue should give at once.
    static var batch: Int { 16 }
    /// Batches that a vCPU does before it goes on with its own work.
    private static var rounds: Int { 4 }
    /// Nanoseconds after which a worker's results are delivered while it goes on.
    private static var deliveryDelay: UInt64 { 100_000 }

    /// - Parameters:
    ///   - take: the next requests of a queue; none: the queue is empty, and the driver will tell of new ones. Under the
    ///     device's lock, as `isSmall` and `finish` are.
    ///   - isSmall: whether a request is one that a vCPU may do itself: short, and no flush.
    ///   - run: does a request; called from any thread, without the lock.
    ///   - finish: gives answers back to the driver.
    ///   - thread: empties the queues instead of vCPUs and the pool; slow requests have threads of the pool all the same.
    init(_ host: DeviceHost, maximum: Int = 32, thread: IOThread? = nil, take: @escaping (Int) -> [Request], isSmall: @escaping (Request) -> Bool,
         run: @escaping @Sendable (Request) -> Answer, finish: @escaping ([(request: Request, answer: Answer)]) -> Void) {
        shared = Shared(run)
        self.take = take
        self.isSmall = isSmall
        self.finish = finish
        pool = WorkerPool(maximum: maximum)
        self.thread = thread
        use = thread?.use()
        let box = Box()
        let keep = host.request { (queue: Int) in box.workers?.keep(queue) }
        taking = { keep($0) ?? nil }
        delivering = host.callback { box.workers?.deliver() }
        deliveringIfFree = host.attempt { box.workers?.deliver() }
        box.workers = self
    }

    private final class Box { weak var workers: RequestWorkers? }

    /// The driver has told of requests on a queue.
    func kick(_ queue: Int) {
        guard busy.insert(queue).inserted else { return }
        guard thread == nil else { return hand(queue, []) }
        for _ in 0 ..< Self.rounds {
            let requests = next(queue)
            guard !requests.isEmpty else { return }
            guard shared.isQuick, requests.allSatisfy(isSmall) else { return hand(queue, requests) }
            let start = EventLoop.now
            let (answers, rest) = doHere(requests)
            shared.note(pace: (EventLoop.now &- start) / UInt64(requests.count))
            shared.inFlight.end(answers.count)
            finish(answers)
            guard rest.isEmpty else { return hand(queue, rest) }
        }
        hand(queue, [])
    }

    /// Does requests on the vCPU's thread. - Returns: their answers, and those that have to wait for the machine to go on.
    private func doHere(_ requests: [Request]) -> ([Finished], [Request]) {
        var answers: [Finished] = [], rest: [Request] = []
        answers.reserveCapacity(requests.count)
        RequestThread.current = .handingOver
        for request in requests {
            let answer = shared.run(request)
            if RequestThread.current == .handedOver {
                RequestThread.current = .handingOver
                rest.append(request)
            } else {
                answers.append((request, answer))
            }
        }
        RequestThread.current = .other
        return (answers, rest)
    }

    /// Takes requests, counted as under way; none: nobody is emptying the queue any more.
    private func next(_ queue: Int) -> [Request] {
        let requests = take(queue)
        if requests.isEmpty { busy.remove(queue) } else { shared.inFlight.begin(requests.count) }
        return requests
    }

    /// Has a worker do `first`, then all that the queue holds.
    private func hand(_ queue: Int, _ first: [Request]) {
        let shared = shared, take = taking, deliver = delivering, deliverIfFree = deliveringIfFree
        // The pool must not hold itself through a job of its own.
        let submit = { @Sendable [weak pool] (job: @escaping @Sendable () -> Void) in pool?.submit(job) ?? job() }
        let begin = { @Sendable [thread] (job: @escaping @Sendable () -> Void) in thread?.submit(job) ?? submit(job) }
        let batch = first.isEmpty ? nil : shared.keep(first)
        begin {
            var batch = batch ?? take(queue)
            while let number = batch {
                let each = shared.isSlow ? shared.split(number) : []
                for number in each { submit { shared.claim(number).map { Self.run($0, shared, deliver, deliverIfFree) } } }
                if each.isEmpty, let requests = shared.claim(number) { Self.run(requests, shared, deliver, deliverIfFree) }
                batch = take(queue)
            }
        }
    }

    /// Takes requests for a thread to claim.
    private func keep(_ queue: Int) -> Int? {
        let requests = next(queue)
        return requests.isEmpty ? nil : shared.keep(requests)
    }

    /// Does requests one after the other, and has their answers delivered: at the end, and in between when it takes long and
    /// nobody has the device. A thread never waits for the device's lock with requests still counted as under way.
    private static func run(_ requests: [Request], _ shared: Shared, _ deliver: @Sendable () -> Void, _ deliverIfFree: @Sendable () -> Void) {
        let start = EventLoop.now
        var delivered = start, unsaid = 0
        for request in requests {
            let answer = RequestThread.working(shared.dismissals) { shared.run(request) }
            shared.finished.withLock { $0.append((request, answer)) }
            unsaid += 1
            let now = EventLoop.now
            guard now &- delivered > deliveryDelay else { continue }
            delivered = now
            shared.inFlight.end(unsaid)
            unsaid = 0
            deliverIfFree()
        }
        shared.note(pace: (EventLoop.now &- start) / UInt64(max(1, requests.count)))
        shared.inFlight.end(unsaid)
        deliver()
    }

    private func deliver() {
        let finished = shared.finished.withLock { list in
            let all = list
            list.removeAll(keepingCapacity: true)
            return all
        }
        if !finished.isEmpty { finish(finished) }
    }

    /// Waits for what is under way, and gives its answers back.
    func settle() {
        for batch in shared.claimAll() {
            let answers = batch.map { (request: $0, answer: shared.run($0)) }
            shared.finished.withLock { $0 += answers }
            shared.inFlight.end(batch.count)
        }
        dismiss()
        shared.inFlight.wait()
        deliver()
    }

    /// Waits for what is under way, and forgets its answers; what has not begun never does.
    func abandon() {
        shared.inFlight.end(shared.claimAll().reduce(0) { $0 + $1.count })
        dismiss()
        shared.inFlight.wait()
        shared.finished.withLock { $0.removeAll() }
    }

    /// What waits for the machine to go on fails instead: whoever stops it may be waiting for this thread.
    private func dismiss() { shared.dismissals.store(shared.dismissals.load() &+ 1) }
}
