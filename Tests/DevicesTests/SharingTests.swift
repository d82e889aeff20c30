import Core
import Devices
import Glibc
import Host
import Testing

/// A folder that goes with the test: `shared` is what the guest sees, `secret` is beside it.
final class ScratchFolder {
    let path: String
    init() throws {
        var name = Array("/tmp/apus-sharing-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&name).map { String(cString: $0) })
        mkdir(path + "/shared", 0o755)
        mkdir(path + "/shared/folder", 0o755)
        write("secret", "secret")
        write("shared/file", "contents")
        write("shared/folder/inside", "inside")
        symlink("../secret", path + "/shared/out")
        symlink("..", path + "/shared/up")
        symlink("/", path + "/shared/folder/root")
    }
    deinit { _ = system("rm -rf '\(path)'") }
    func write(_ name: String, _ text: String) {
        guard let file = fopen(path + "/" + name, "w") else { return }
        fputs(text, file)
        fclose(file)
    }
    func read(_ name: String) -> String? {
        guard let file = fopen(path + "/" + name, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
    func exists(_ name: String) -> Bool { var info = stat(); return lstat(path + "/" + name, &info) == 0 }
}

private func text(_ string: String) -> [UInt8] { little(UInt16(string.utf8.count)) + Array(string.utf8) }

/// A client of 9P over the device's queue.
private final class Client {
    let driver: GuestDriver
    let scratch: ScratchFolder
    init(_ security: SecurityModel, isReadOnly: Bool = false, negotiates: Bool = true) throws {
        scratch = try ScratchFolder()
        let machine = try GuestMachine()
        try machine.plug("virtio-9p-pci", folder: try SharedFolder(path: scratch.path + "/shared", security: security, isReadOnly: isReadOnly))
        driver = GuestDriver(machine, PCITransport(machine.function(device: 3)), queues: 1)
        guard negotiates else { return }
        #expect(call(100, little(UInt32(65536)) + text("9P2000.L")) == little(UInt32(65536)) + text("9P2000.L"))
        #expect(call(104, little(UInt32(0)) + little(UInt32.max) + text("root") + text("") + little(UInt32(1000)))?.count == 13)
    }
    /// The answer whole, header and all.
    func raw(_ bytes: [UInt8], room: Int? = nil) -> [UInt8]? { driver.request(0, [bytes], input: [room ?? self.room]) }
    /// Bytes that an answer may have.
    var room = 8192
    /// The answer's body; of an error, nil.
    func call(_ type: UInt8, _ body: [UInt8]) -> [UInt8]? {
        error = 0
        guard let answer = raw(little(UInt32(7 + body.count)) + [type] + little(UInt16(1)) + body), answer.count >= 7 else { return nil }
        if answer[4] == 7 { error = Int32(answer[7]) | Int32(answer[8]) << 8 }
        return answer[4] == type + 1 ? Array(answer[7...]) : nil
    }
    private(set) var error: Int32 = 0
    /// Walks from fid 0 to `new`. - Returns: how many names were found.
    func walk(_ new: UInt32, _ names: String...) -> Int? {
        let answer = call(110, little(UInt32(0)) + little(new) + little(UInt16(names.count)) + names.flatMap { text($0) })
        return answer.map { Int($0[0]) }
    }
    func open(_ fid: UInt32, _ flags: UInt32 = 0) -> Bool { call(12, little(fid) + little(flags)) != nil }
    func read(_ fid: UInt32) -> String? { call(116, little(fid) + little(UInt64(0)) + little(UInt32(4096))).map { String(decoding: $0.dropFirst(4), as: UTF8.self) } }
    func clunk(_ fid: UInt32) { _ = call(120, little(fid)) }
    var isAlive: Bool { driver.transport.status & 64 == 0 }
}

@Suite struct SharingTests {
    static let models = SecurityModel.allCases

    @Test(arguments: models) func filesAreMadeAndRead(_ security: SecurityModel) throws {
        let client = try Client(security)
        #expect(client.walk(1, "folder", "inside") == 2 && client.open(1) && client.read(1) == "inside")
        #expect(client.walk(2) == 0)
        // Tlcreate with O_RDWR, as user 1000 that attached; only root can give a file away on the host.
        guard geteuid() == 0 || security != .passthrough else { return }
        #expect(client.call(14, little(UInt32(2)) + text("new") + little(UInt32(2)) + little(UInt32(0o640)) + little(UInt32(55))) != nil)
        #expect(client.call(118, little(UInt32(2)) + little(UInt64(0)) + little(UInt32(5)) + Array("hello".utf8)) == little(UInt32(5)))
        #expect(client.scratch.read("shared/new") == "hello")
        let info = try #require(client.call(24, little(UInt32(2)) + little(UInt64(0x7ff))))
        #expect(Array(info[21 ..< 25]) == little(UInt32(0o100640)))
        if security != .none { #expect(Array(info[25 ..< 33]) == little(UInt32(1000)) + little(UInt32(55))) }
        // A link and its target; a device that is none on the host where owners are mapped.
        #expect(client.call(16, little(UInt32(0)) + text("link") + text("/etc/passwd") + little(UInt32(0))) != nil)
        #expect(client.walk(3, "link") == 1 && client.call(22, little(UInt32(3))) == text("/etc/passwd"))
        #expect(!client.open(3))
        if security == .mappedAttributes || security == .mappedFile {
            #expect(client.call(18, little(UInt32(0)) + text("null") + little(UInt32(0o20666)) + little(UInt32(1)) + little(UInt32(3)) + little(UInt32(0))) != nil)
            var host = stat()
            #expect(lstat(client.scratch.path + "/shared/null", &host) == 0 && host.st_mode & S_IFMT == S_IFREG)
            #expect(client.walk(4, "null") == 1)
            let device = try #require(client.call(24, little(UInt32(4)) + little(UInt64(0x7ff))))
            #expect(Array(device[21 ..< 25]) == little(UInt32(0o20666)) && Array(device[41 ..< 49]) == little(UInt64(0x103)))
        }
        if security == .mappedFile { #expect(client.walk(5, ".virtfs_metadata") == nil) }
        // A rename moves what is open, too.
        #expect(client.call(74, little(UInt32(0)) + text("folder") + little(UInt32(0)) + text("moved")) != nil)
        #expect(client.read(1) == "inside" && client.call(24, little(UInt32(1)) + little(UInt64(0x7ff))) != nil)
        #expect(client.walk(6, "moved", "inside") == 2)
        #expect(client.isAlive)
    }

    @Test(arguments: models) func nothingLeadsOutside(_ security: SecurityModel) throws {
        let client = try Client(security)
        // ".." at the top is the top; links lead nowhere, in the middle of a path or at its end.
        #expect(client.walk(1, "..", "..", "secret") == 2)
        #expect(client.walk(1, "..", "file") == 2 && client.open(1) && client.read(1) == "contents")
        #expect(client.walk(2, "out") == 1 && !client.open(2) && client.error == ELOOP)
        #expect(client.walk(3, "up", "secret") == 1)
        #expect(client.walk(4, "up") == 1)
        #expect(client.call(14, little(UInt32(4)) + text("planted") + little(UInt32(1)) + little(UInt32(0o644)) + little(UInt32(0))) == nil)
        #expect(client.call(72, little(UInt32(4)) + text("planted") + little(UInt32(0o755)) + little(UInt32(0))) == nil)
        #expect(client.call(74, little(UInt32(0)) + text("file") + little(UInt32(4)) + text("planted")) == nil)
        #expect(client.call(76, little(UInt32(4)) + text("secret") + little(UInt32(0))) == nil)
        // Opening for writing through a link, and truncating it.
        #expect(client.call(14, little(UInt32(0)) + text("out") + little(UInt32(0o1001)) + little(UInt32(0o644)) + little(UInt32(0))) == nil)
        #expect(client.call(26, little(UInt32(2)) + little(UInt32(8)) + [UInt8](repeating: 0, count: 52)) == nil)
        // Names that are paths, nothing, or have a NUL.
        for name in ["", ".", "..", "a/b", "../planted", "/planted", "folder/../../planted", "a\0b", String(repeating: "n", count: 256), String(repeating: "n", count: 60000)] {
            #expect(client.call(72, little(UInt32(0)) + text(name) + little(UInt32(0o755)) + little(UInt32(0))) == nil, "\(name)")
            #expect(client.call(16, little(UInt32(0)) + text(name) + text("x") + little(UInt32(0))) == nil, "\(name)")
            #expect(client.call(74, little(UInt32(0)) + text("file") + little(UInt32(0)) + text(name)) == nil, "\(name)")
            #expect(client.call(76, little(UInt32(0)) + text(name) + little(UInt32(0x200))) == nil, "\(name)")
            if name != ".." { #expect(client.walk(9, name) == nil, "\(name)") }
        }
        // A folder that becomes a link under the guest's foot.
        #expect(client.walk(5, "folder") == 1)
        let path = client.scratch.path
        rename(path + "/shared/folder", path + "/shared/was")
        symlink("..", path + "/shared/folder")
        #expect(client.call(110, little(UInt32(5)) + little(UInt32(6)) + little(UInt16(1)) + text("secret")) == nil)
        #expect(client.call(72, little(UInt32(5)) + text("planted") + little(UInt32(0o755)) + little(UInt32(0))) == nil)
        #expect(!client.scratch.exists("planted") && client.scratch.read("secret") == "secret" && client.scratch.read("shared/file") == "contents")
        #expect(client.isAlive)
    }

    @Test func aReadOnlyFolderStaysAsItIs() throws {
        let client = try Client(.none, isReadOnly: true)
        #expect(client.walk(1, "file") == 1 && !client.open(1, 1) && client.error == EROFS && !client.open(1, 0o1000))
        #expect(client.open(1) && client.read(1) == "contents")
        #expect(client.call(118, little(UInt32(1)) + little(UInt64(0)) + little(UInt32(1)) + [0]) == nil)
        for (type, body) in [(14, little(UInt32(0)) + text("n") + little(UInt32(1)) + little(UInt32(0o600)) + little(UInt32(0))),
                             (16, little(UInt32(0)) + text("n") + text("x") + little(UInt32(0))), (72, little(UInt32(0)) + text("n") + little(UInt32(0o700)) + little(UInt32(0))),
                             (18, little(UInt32(0)) + text("n") + little(UInt32(0o10600)) + little(UInt32(0)) + little(UInt32(0)) + little(UInt32(0))),
                             (70, little(UInt32(0)) + little(UInt32(1)) + text("n")), (76, little(UInt32(0)) + text("file") + little(UInt32(0))),
                             (74, little(UInt32(0)) + text("file") + little(UInt32(0)) + text("n")), (26, little(UInt32(0)) + little(UInt32(1)) + [UInt8](repeating: 0, count: 52)),
                             (32, little(UInt32(0)) + text("user.a") + little(UInt64(1)) + little(UInt32(0)))] as [(UInt8, [UInt8])] {
            #expect(client.call(type, body) == nil && client.error == EROFS, "\(type)")
        }
    }

    @Test func nonsenseIsAnswered() throws {
        let client = try Client(.mappedAttributes)
        var random = ConformanceTests.Random(state: 9)
        // Every type, with bodies of every length that its fields could end in, and with random ones.
        for type in UInt8(0) ... 127 where type != 100 {
            for count in 0 ..< 40 {
                let body = (0 ..< count).map { at in at < 4 ? 0 : UInt8.random(in: 0 ... 3, using: &random) }
                let answer = client.raw(little(UInt32(7 + count)) + [type] + little(UInt16(count)) + body, room: 4096)
                #expect((answer?.count ?? 0) >= 7, "type \(type), \(count) bytes")
                guard client.isAlive else { Issue.record("type \(type), \(count) bytes: the device needs a reset"); return }
            }
        }
        #expect(client.scratch.read("secret") == "secret" && !client.scratch.exists("planted"))
        // A size that is a lie makes the device ask for a reset, or is an error; a reset brings it back.
        for size in [UInt32.max, 0, 6, 8] {
            let client = try Client(.none, negotiates: false)
            _ = client.driver.queues[0].add([.init(address: client.driver.machine.allocate(16), count: 7, isWritable: false), .init(address: client.driver.machine.allocate(64), count: 64, isWritable: true)])
            let at = client.driver.machine.allocate(16)
            client.driver.machine.fill(at, little(size) + [100] + little(UInt16(1)))
            _ = client.driver.queues[0].add([.init(address: at, count: 7, isWritable: false), .init(address: client.driver.machine.allocate(64), count: 64, isWritable: true)])
            client.driver.transport.notify(0)
            #expect(client.driver.machine.wait { !client.isAlive })
            client.driver.transport.status = 0
            #expect(client.driver.transport.status == 0)
        }
    }

    @Test func whatAClientMayHoldIsBounded() throws {
        let client = try Client(.none)
        client.room = 256
        // Fids with attributes that are announced and never come.
        var made: UInt32 = 0
        while made < 2000, client.walk(100 + made, "file") == 1,
              client.call(32, little(100 + made) + text("user.a") + little(UInt64(65536)) + little(UInt32(0))) != nil { made += 1 }
        #expect(made > 500 && made < 2000 && client.error == ENOMEM)
        #expect(client.call(32, little(UInt32(0)) + text("user.a") + little(UInt64(65537)) + little(UInt32(0))) == nil)
        // A new session gives it all back.
        #expect(client.call(100, little(UInt32(8192)) + text("9P2000.L")) != nil)
        #expect(client.walk(1) == nil)
        #expect(client.call(100, little(UInt32(8192)) + text("9P2000")) == little(UInt32(8192)) + text("unknown"))
    }
}
