import Block
import Core
import Cryptography
import Formats
import Testing

/// LUKS needs a password to open, so it has a suite of its own.
@Suite struct LUKSTests {
    private func open(_ scratch: Scratch, _ path: String, _ access: Access) throws -> Node {
        try scratch.graph.open(path, format: "luks", access, options: [.init("key-secret", .text("secret"))])
    }

    @Test func randomRequestsAgreeWithAPlainModel() throws {
        let scratch = Scratch()
        try scratch.graph.secrets.add(object: "secret,id=secret,data=geheim")
        try scratch.graph.secrets.add(object: "secret,id=wrong,data=falsch")
        for options in ["", ",cipher-alg=serpent-128,hash-alg=sha1", ",cipher-alg=twofish-256,cipher-mode=cbc,ivgen-alg=essiv", ",cipher-mode=cbc,ivgen-alg=plain"] {
            let path = try scratch.create(LUKSFormat.self, "key-secret=secret,iter-time=1" + options, size: 1 << 20)
            var random = Seeded(5)
            // What was never written decrypts to something, but the same each time.
            let fresh = try open(scratch, path, .readOnly)
            var model = try fresh.bytes(0, 1 << 20)
            try fresh.close()
            let node = try open(scratch, path, Access(writable: true, cache: .unsafe))
            try exercise(node, &model, &random, requests: 80)
            try node.close()
            let again = try open(scratch, path, .readOnly)
            #expect(try again.bytes(0, 1 << 20) == model, "\(options)")
            try again.close()
            #expect(throws: BlockError.self) { try scratch.graph.open(path, format: "luks", .readOnly, options: [.init("key-secret", .text("wrong"))]) }
            #expect(throws: BlockError.self) { try scratch.graph.open(path, format: "luks", .readOnly) }
        }
    }

    @Test func damagedHeadersNeverTrap() throws {
        let scratch = Scratch()
        try scratch.graph.secrets.add(object: "secret,id=secret,data=geheim")
        let path = try scratch.create(LUKSFormat.self, "key-secret=secret,iter-time=1", size: 65536)
        let whole = try scratch.contents(path)
        var random = Seeded(8)
        for _ in 0..<60 {
            var damaged = whole
            for _ in 0...random.below(3) {
                // Not the counts of iterations: a large one is valid, and slow.
                let at = Int(random.below(112))
                damaged[at] = UInt8(truncatingIfNeeded: random.next())
            }
            let copy = try scratch.write("damaged", damaged)
            if let node = try? open(scratch, copy, .readOnly) {
                _ = try? node.bytes(0, 4096)
                try? node.close()
            }
        }
    }

    /// A key split is a key joined; the hash and PBKDF2 give what their standards say.
    @Test func splittingIsUndoneByJoining() throws {
        let hash = try #require(HashFunction(named: "sha256"))
        #expect(hash.digest(Array("abc".utf8)).prefix(4) == [0xba, 0x78, 0x16, 0xbf])
        let key = (0..<64).map { UInt8($0) }
        #expect(SplitKey.join(SplitKey.split(key, stripes: 100, hash), keyBytes: 64, stripes: 100, hash) == key)
        #expect(SplitKey.join([1, 2, 3], keyBytes: 64, stripes: 100, hash) == nil)
        // RFC 7914, section 11.
        #expect(hash.passwordKey(Array("passwd".utf8), salt: Array("salt".utf8), iterations: 1, count: 4) == [0x55, 0xac, 0x04, 0x6e])
    }
}
