// What monitors do with a machine's keyboard and pointer: `sendkey`, `send-key`, `mouse_move`, `mouse_button`,
// `input-send-event`.

import Core
import Host

extension DisplaySet {
    /// Presses keys one after the other, holds them, and releases them in the opposite order.
    /// - Parameters:
    ///   - codes: Linux's numbers: see `KeyMap`.
    ///   - milliseconds: how long they are held (QEMU's standard is 100).
    public func sendKeys(_ codes: [UInt16], holding milliseconds: UInt32 = 100, on loop: EventLoop) {
        input.send(codes.map { .key($0, isDown: true) })
        let release: [InputEvent] = codes.reversed().map { .key($0, isDown: false) }
        let hub = input
        loop.submit(after: UInt64(milliseconds) * 1_000_000) { hub.send(release) }
    }

    /// The same by qcodes. - Returns: the first one that is none, and nothing was pressed.
    public func sendKeys(qcodes: [String], holding milliseconds: UInt32 = 100, on loop: EventLoop) -> String? {
        var codes: [UInt16] = []
        for qcode in qcodes {
            guard let code = KeyMap.code(qcode: qcode) else { return qcode }
            codes.append(code)
        }
        sendKeys(codes, holding: milliseconds, on: loop)
        return nil
    }

    /// Moves a pointer that is told how far.
    public func movePointer(byX x: Int, y: Int) { input.send([.relative(.x, x), .relative(.y, y)]) }

    /// Moves a pointer that is told where, in 0 to `InputHub.fullScale`.
    public func movePointer(toX x: Int, y: Int) { input.send([.absolute(.x, x), .absolute(.y, y)]) }

    public func press(_ button: PointerButton, isDown: Bool) { input.send([.button(button, isDown: isDown)]) }
}
