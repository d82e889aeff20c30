// From people to keyboards and pointers of a machine: events, the devices that take them, and who gets which.

import Host

public enum PointerButton: Int, Sendable, CaseIterable {
    case left, middle, right, wheelUp, wheelDown, side, extra, wheelLeft, wheelRight
}

public enum PointerAxis: Int, Sendable { case x, y }

/// One thing that a person does.
public enum InputEvent: Sendable, Equatable {
    /// A key by its number in Linux's input-event-codes.h, which are USB's and PS/2's keys for the whole keyboard.
    case key(UInt16, isDown: Bool)
    case button(PointerButton, isDown: Bool)
    /// How far the pointer is moved.
    case relative(PointerAxis, Int)
    /// Where on the screen the pointer is, from 0 to `InputHub.fullScale`.
    case absolute(PointerAxis, Int)
}

/// What a device takes.
public struct InputKinds: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let keys = InputKinds(rawValue: 1)
    public static let buttons = InputKinds(rawValue: 2)
    public static let relative = InputKinds(rawValue: 4)
    public static let absolute = InputKinds(rawValue: 8)
}

/// Lights of a keyboard, as the guest has set them.
public struct KeyboardLights: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// As RFB's LED state has them.
    public static let scroll = KeyboardLights(rawValue: 1)
    public static let number = KeyboardLights(rawValue: 2)
    public static let capitals = KeyboardLights(rawValue: 4)
}

/// A keyboard or a pointer.
public protocol InputSink: AnyObject, Sendable {
    var inputName: String { get }
    var kinds: InputKinds { get }
    /// Whether a driver of the guest has set the device up. Called from any thread; takes no locks of devices.
    var isReady: Bool { get }
    /// Events that belong together. Called from any thread, without locks.
    func take(_ events: [InputEvent])
}

/// Passes events on: each kind to the device that was added last of those that take it, drivers' devices first.
public final class InputHub: Sendable {
    public static let fullScale = 0x7fff

    private struct State: Sendable {
        var sinks: [WeakSink] = []
        var lights: KeyboardLights = []
        var listeners: [UInt64: @Sendable (KeyboardLights) -> Void] = [:]
        var next: UInt64 = 0
        var held: Set<UInt16> = []
    }
    private struct WeakSink: Sendable { weak var sink: (any InputSink)? }
    private let state = Locked(State())

    public func add(_ sink: any InputSink) {
        state.withLock { state in
            state.sinks.removeAll { $0.sink == nil || $0.sink === sink }
            state.sinks.append(WeakSink(sink: sink))
        }
    }

    /// All devices, the last one first.
    public var sinks: [any InputSink] { state.withLock { $0.sinks.reversed().compactMap(\.sink) } }

    private func sink(for kind: InputKinds, _ sinks: [any InputSink]) -> (any InputSink)? {
        let able = sinks.filter { !$0.kinds.isDisjoint(with: kind) }
        return able.first { $0.isReady } ?? able.first
    }

    /// Whether the pointer in use is told where it is rather than how far it moves.
    public var isAbsolute: Bool { sink(for: [.absolute, .relative], sinks)?.kinds.contains(.absolute) ?? false }

    /// Sends events that belong together, in order. Those that no device takes are dropped.
    public func send(_ events: [InputEvent]) {
        let sinks = sinks
        let keyboard = sink(for: .keys, sinks), pointer = sink(for: [.absolute, .relative], sinks)
        var keys: [InputEvent] = [], moves: [InputEvent] = []
        for event in events {
            switch event {
            case .key(let code, let isDown):
                keys.append(event)
                state.withLock { state in _ = isDown ? state.held.insert(code).inserted : state.held.remove(code) != nil }
            case .button: moves.append(event)
            case .relative: if pointer?.kinds.contains(.relative) == true { moves.append(event) }
            case .absolute: if pointer?.kinds.contains(.absolute) == true { moves.append(event) }
            }
        }
        if !keys.isEmpty { keyboard?.take(keys) }
        if !moves.isEmpty { pointer?.take(moves) }
    }

    /// Keys that were pressed and not released yet.
    public var held: Set<UInt16> { state.withLock { $0.held } }

    // MARK: lights

    public var lights: KeyboardLights { state.withLock { $0.lights } }

    /// The guest has switched lights. Called by keyboards, from any thread.
    public func setLights(_ lights: KeyboardLights) {
        let listeners = state.withLock { state -> [@Sendable (KeyboardLights) -> Void] in
            guard state.lights != lights else { return [] }
            state.lights = lights
            return Array(state.listeners.values)
        }
        for listener in listeners { listener(lights) }
    }

    /// Calls `body` for each change until `stopListening`; it must not block.
    public func listen(_ body: @escaping @Sendable (KeyboardLights) -> Void) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.listeners[state.next] = body
            return state.next
        }
    }

    public func stopListening(_ number: UInt64) { state.withLock { $0.listeners[number] = nil } }
}
