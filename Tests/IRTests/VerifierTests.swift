import IR
import Testing

private func faults(_ build: (Builder) -> Void) -> [String] { withTrace(build, IRVerifier.faults(in:)) }

@Test func acceptsARightTrace() {
    let found = faults { x in
        x.instruction(at: 0x1000, length: 4)
        let a = x.get(-48)
        let b = x.load(a, 4, MemoryAccess(bytes: 4, signed: true))
        x.put(-40, a + b)
        x.branch(.lessU, a, b, to: 0x2000)
        x.instruction(at: 0x1004, length: 4)
        x.put(1536, x.unary(.boxFloat, x.unary(.unboxFloat, x.get(1536, .f64), .f32), .f64))
        x.jump(to: 0x1008)
    }
    #expect(found == [])
}

@Test func findsEachFault() {
    let wrong: [(String, (Builder) -> Void)] = [
        ("is last but does not end the trace", { x in x.instruction(at: 0, length: 4) }),
        ("ends the trace too early", { x in
            x.jump(to: 0)
            x.jump(to: 0)
        }),
        ("operand %5 is not a value defined before", { x in
            x.emit(Op(.not, .i64, 5))
            x.jump(to: 0)
        }),
        ("operands are i64, i32", { x in
            _ = x.get(-48) + x.get(-40, .i32)
            x.jump(to: 0)
        }),
        ("is outside guest state", { x in
            _ = x.get(-256)
            x.jump(to: 0)
        }),
        ("may fault after a put of the same instruction", { x in
            x.instruction(at: 0, length: 4)
            x.put(-48, x.constant(0))
            _ = x.load(x.constant(0), 0, MemoryAccess(bytes: 8))
            x.jump(to: 4)
        }),
        ("may fault before the first instruction", { x in
            _ = x.load(x.constant(0), 0, MemoryAccess(bytes: 8))
            x.jump(to: 4)
        }),
        ("a f32 has not 8 bytes", { x in
            x.instruction(at: 0, length: 4)
            _ = x.load(x.constant(0), 0, MemoryAccess(bytes: 8), .f32)
            x.jump(to: 4)
        }),
        ("has no rounding", { x in
            _ = x.binary(.fadd, x.get(1536, .f64), x.get(1536, .f64), aux: 7)
            x.jump(to: 4)
        }),
        ("has no condition", { x in
            x.emit(Op(.branch, .i64, aux: 99, x.constant(0).ref, x.constant(0).ref))
            x.jump(to: 4)
        }),
        ("return address is not a constant", { x in
            x.emit(Op(.call, .none, x.get(-48).ref))
        }),
    ]
    for (message, build) in wrong {
        let found = faults(build)
        #expect(found.contains { $0.hasSuffix(message) }, "\(message) not in \(found)")
    }
    #expect(IRVerifier.faults(in: UnsafeBufferPointer(start: nil, count: 0)) == ["the trace is empty"])
}
