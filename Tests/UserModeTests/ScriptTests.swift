import Testing
import UserMode

@Suite struct ScriptTests {
    private func script(_ text: String) -> (String, String?)? {
        Script(head: Array(text.utf8)).map { script in
            (String(decoding: script.interpreter, as: UTF8.self), script.argument.map { String(decoding: $0, as: UTF8.self) })
        }
    }

    @Test func splitsAsLinux() {
        for (text, name, argument) in [
            ("#!/bin/sh\n", "/bin/sh", nil), ("#! /bin/sh -e -x \n", "/bin/sh", "-e -x"), ("#!\t/usr/bin/env\tpython3\necho", "/usr/bin/env", "python3"),
            ("#!/bin/sh", "/bin/sh", nil),
        ] as [(String, String, String?)] {
            let found = script(text)
            #expect(found?.0 == name && found?.1 == argument)
        }
        for text in ["", "#", "#!", "#!\n", "#!   \n", "!#/bin/sh\n", "#!/" + String(repeating: "x", count: 300)] { #expect(script(text) == nil) }
    }
}
