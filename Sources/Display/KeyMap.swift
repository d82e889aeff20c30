// Keys by their several names: QEMU's qcodes, Linux's numbers, scancodes of the PC's keyboard (set 1), and the symbols of X11
// as a keyboard of the United States has them.

import Core

/// One key of a keyboard.
public struct Key: Sendable, Equatable {
    /// As monitors name it.
    public let qcode: String
    /// In Linux's input-event-codes.h.
    public let code: UInt16
}

public enum KeyMap {
    /// By Linux's number from 1 on: up to 83, that is the PC's scancode too.
    private static let first = "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab q w e r t y u i o p bracket_left bracket_right ret ctrl a s d f g h j k l semicolon apostrophe grave_accent shift backslash z x c v b n m comma dot slash shift_r kp_multiply alt spc caps_lock f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock kp_7 kp_8 kp_9 kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal"

    /// The others: qcode, Linux's number, scancode (with 0x80 for the prefix 0xe0).
    private static let others: [(String, UInt16, UInt8)] = [
        ("less", 86, 0x56), ("f11", 87, 0x57), ("f12", 88, 0x58), ("ro", 89, 0x73), ("katakana", 90, 0x78), ("hiragana", 91, 0x77), ("henkan", 92, 0x79),
        ("katakanahiragana", 93, 0x70), ("muhenkan", 94, 0x7b), ("kp_enter", 96, 0x9c), ("ctrl_r", 97, 0x9d), ("kp_divide", 98, 0xb5), ("sysrq", 99, 0x54),
        ("print", 99, 0xb7), ("alt_r", 100, 0xb8), ("lf", 101, 0x5b), ("home", 102, 0xc7), ("up", 103, 0xc8), ("pgup", 104, 0xc9), ("left", 105, 0xcb), ("right", 106, 0xcd),
        ("end", 107, 0xcf), ("down", 108, 0xd0), ("pgdn", 109, 0xd1), ("insert", 110, 0xd2), ("delete", 111, 0xd3), ("audiomute", 113, 0xa0),
        ("volumedown", 114, 0xae), ("volumeup", 115, 0xb0), ("power", 116, 0xde), ("kp_equals", 117, 0x59), ("pause", 119, 0xc6), ("kp_comma", 121, 0x7e),
        ("lang1", 122, 0x72), ("lang2", 123, 0x71), ("yen", 124, 0x7d), ("meta_l", 125, 0xdb), ("meta_r", 126, 0xdc), ("compose", 127, 0xdd), ("stop", 128, 0xe8),
        ("again", 129, 0x85), ("props", 130, 0x86), ("undo", 131, 0x87), ("front", 132, 0x8c), ("copy", 133, 0xf8), ("open", 134, 0x64), ("paste", 135, 0x65),
        ("find", 136, 0xc1), ("cut", 137, 0xbc), ("help", 138, 0xf5), ("menu", 139, 0x9e), ("calculator", 140, 0xa1), ("sleep", 142, 0xdf), ("wake", 143, 0xe3),
        ("mail", 155, 0xec), ("ac_bookmarks", 156, 0xe6), ("computer", 157, 0xeb), ("ac_back", 158, 0xea), ("ac_forward", 159, 0xe9), ("audionext", 163, 0x99),
        ("audioplay", 164, 0xa2), ("audioprev", 165, 0x90), ("audiostop", 166, 0xa4), ("ac_home", 172, 0xb2), ("ac_refresh", 173, 0xe7), ("mediaselect", 226, 0xed),
        ("f13", 183, 0x5d), ("f14", 184, 0x5e), ("f15", 185, 0x5f), ("f16", 186, 0x55), ("f17", 187, 0x83), ("f18", 188, 0xf7), ("f19", 189, 0x84), ("f20", 190, 0x5a),
        ("f21", 191, 0x74), ("f22", 192, 0xf9), ("f23", 193, 0x6d), ("f24", 194, 0x6f),
    ]

    public static let keys: [Key] = first.split(separator: " ").enumerated().map { Key(qcode: String($1), code: UInt16($0 + 1)) } + others.map { Key(qcode: $0.0, code: $0.1) }

    private static let byName: [String: UInt16] = Dictionary(keys.map { ($0.qcode, $0.code) }, uniquingKeysWith: { first, _ in first })
    private static let byScancode: [UInt8: UInt16] = Dictionary((1 ... 83).map { (UInt8($0), UInt16($0)) } + others.map { ($0.2, $0.1) }, uniquingKeysWith: { first, _ in first })

    /// Linux's number of a key by its qcode; also by QEMU's older names in `sendkey`.
    public static func code(qcode: String) -> UInt16? {
        let old = ["<": "less", "asterisk": "kp_multiply", "minus": "minus", "kp_substract": "kp_subtract", "enter": "ret", "menu": "compose"]
        return byName[qcode] ?? old[qcode].flatMap { byName[$0] }
    }

    /// The same by a scancode of set 1, where 0x80 stands for the prefix 0xe0.
    public static func code(scancode: UInt32) -> UInt16? { UInt8(exactly: scancode).flatMap { byScancode[$0] } }

    // MARK: X11

    /// Symbols of keys with and without Shift: characters.
    private static let plain = Array("1234567890-=qwertyuiop[]asdfghjkl;'`\\zxcvbnm,./ ".utf8)
    private static let shifted = Array("!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"~|ZXCVBNM<>? ".utf8)
    private static let places: [UInt16] = Array(2 ... 13) + Array(16 ... 27) + Array(30 ... 41) + Array(43 ... 53) + [57]

    /// Keys without a character of their own, by X11's symbol.
    private static let functions: [UInt32: String] = [
        0xff08: "backspace", 0xff09: "tab", 0xff0a: "lf", 0xff0d: "ret", 0xff13: "pause", 0xff14: "scroll_lock", 0xff15: "sysrq", 0xff1b: "esc", 0xff50: "home",
        0xff51: "left", 0xff52: "up", 0xff53: "right", 0xff54: "down", 0xff55: "pgup", 0xff56: "pgdn", 0xff57: "end", 0xff61: "print", 0xff63: "insert",
        0xff67: "compose", 0xff6a: "help", 0xff6b: "pause", 0xff7f: "num_lock", 0xff80: "spc", 0xff89: "tab", 0xff8d: "kp_enter", 0xff95: "kp_7", 0xff96: "kp_4",
        0xff97: "kp_8", 0xff98: "kp_6", 0xff99: "kp_2", 0xff9a: "kp_9", 0xff9b: "kp_3", 0xff9c: "kp_1", 0xff9d: "kp_5", 0xff9e: "kp_0", 0xff9f: "kp_decimal",
        0xffaa: "kp_multiply", 0xffab: "kp_add", 0xffac: "kp_comma", 0xffad: "kp_subtract", 0xffae: "kp_decimal", 0xffaf: "kp_divide", 0xffb0: "kp_0", 0xffb1: "kp_1",
        0xffb2: "kp_2", 0xffb3: "kp_3", 0xffb4: "kp_4", 0xffb5: "kp_5", 0xffb6: "kp_6", 0xffb7: "kp_7", 0xffb8: "kp_8", 0xffb9: "kp_9", 0xffbd: "kp_equals",
        0xffe1: "shift", 0xffe2: "shift_r", 0xffe3: "ctrl", 0xffe4: "ctrl_r", 0xffe5: "caps_lock", 0xffe7: "meta_l", 0xffe8: "meta_r", 0xffe9: "alt", 0xffea: "alt_r",
        0xffeb: "meta_l", 0xffec: "meta_r", 0xfe03: "alt_r", 0xfe20: "tab", 0xffff: "delete",
    ]

    /// What a symbol of X11 is on the keyboard; whether Shift has to be down or up for it, if that matters.
    public static func key(symbol: UInt32) -> (code: UInt16, shift: Bool?)? {
        if (0x20 ... 0x7e).contains(symbol) {
            let character = UInt8(symbol)
            if let index = plain.firstIndex(of: character) { return (places[index], character == 0x20 ? nil : false) }
            return shifted.firstIndex(of: character).map { (places[$0], true) }
        }
        if (0xffbe ... 0xffd5).contains(symbol) { return code(qcode: "f\(symbol - 0xffbd)").map { ($0, nil) } }
        return functions[symbol].flatMap { code(qcode: $0) }.map { ($0, nil) }
    }
}
