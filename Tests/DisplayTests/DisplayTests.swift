// Pictures, keys and encodings without a machine around them.

import Core
import Devices
import Display
import Testing

@Suite struct DisplayTests {
    @Test func keysHaveOneNumberEach() {
        #expect(KeyMap.code(qcode: "a") == 30)
        #expect(KeyMap.code(qcode: "ret") == 28)
        #expect(KeyMap.code(qcode: "nonsense") == nil)
        #expect(KeyMap.code(scancode: 0x1e) == 30)
        #expect(KeyMap.code(scancode: 0xcb) == 105)
        #expect(KeyMap.code(scancode: 0x1234) == nil)
        #expect(KeyMap.key(symbol: 0x41)?.code == 30)
        #expect(KeyMap.key(symbol: 0x41)?.shift == true)
        #expect(KeyMap.key(symbol: 0x7c)?.code == 43)
        #expect(KeyMap.key(symbol: 0x2f)?.code == 53)
        #expect(KeyMap.key(symbol: 0xff0d)?.code == 28)
        #expect(KeyMap.key(symbol: 0xffc9)?.code == 88)
    }

    @Test func surfacesStayInTheirMemory() throws {
        let block = try RAMBlock(name: "pixels", size: 4096)
        #expect(Surface(block, offset: 0, width: 32, height: 32, stride: 128, .standard, tellsChanges: false) != nil)
        #expect(Surface(block, offset: 4, width: 32, height: 32, stride: 128, .standard, tellsChanges: false) == nil)
        #expect(Surface(block, offset: .max, width: 32, height: 32, stride: 128, .standard, tellsChanges: false) == nil)
        #expect(Surface(block, offset: 0, width: 0, height: 32, stride: 128, .standard, tellsChanges: false) == nil)
        #expect(Surface(block, offset: 0, width: 33, height: 2, stride: 128, .standard, tellsChanges: false) == nil)
        block.host.storeBytes(of: 0xaa11_2233, as: UInt32.self)
        block.host.storeBytes(of: 0xf81f, toByteOffset: 4, as: UInt16.self)
        let displays = DisplaySet(), console = displays.addConsole(device: "test")
        #expect(Screendump.png(console) == nil)
        console.show(Surface(block, offset: 0, width: 1, height: 1, stride: 4, .standard, tellsChanges: false))
        #expect(Screendump.ppm(console) == Array("P6\n1 1\n255\n".utf8) + [0x11, 0x22, 0x33])
        #expect(Screendump.png(console)?.starts(with: [0x89, 0x50, 0x4e, 0x47]) == true)
        #expect(Surface(block, offset: 4, width: 1, height: 1, stride: 2, .high(isWide: true), tellsChanges: false)?.pixels() == [0xff00ff])
        #expect(Surface(block, offset: 0, width: 1, height: 1, stride: 4, .bytes(red: 0, green: 1, blue: 2), tellsChanges: false)?.pixels() == [0x33_2211])
    }
}
