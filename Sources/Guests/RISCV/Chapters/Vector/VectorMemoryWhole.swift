// "Vector Load/Store Whole Register Instructions" and mask loads and stores of the V extension.
// What each does stands in the `Vector` folder.

extension Pattern {
    static let vectorMemoryWhole: [Pattern] = [
        Pattern("vl1re8.v vd, (rs1)", "000 0 00 1 01000 ..... 000 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl2re8.v vd, (rs1)", "001 0 00 1 01000 ..... 000 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl4re8.v vd, (rs1)", "011 0 00 1 01000 ..... 000 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl8re8.v vd, (rs1)", "111 0 00 1 01000 ..... 000 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl1re16.v vd, (rs1)", "000 0 00 1 01000 ..... 101 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl2re16.v vd, (rs1)", "001 0 00 1 01000 ..... 101 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl4re16.v vd, (rs1)", "011 0 00 1 01000 ..... 101 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl8re16.v vd, (rs1)", "111 0 00 1 01000 ..... 101 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl1re32.v vd, (rs1)", "000 0 00 1 01000 ..... 110 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl2re32.v vd, (rs1)", "001 0 00 1 01000 ..... 110 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl4re32.v vd, (rs1)", "011 0 00 1 01000 ..... 110 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl8re32.v vd, (rs1)", "111 0 00 1 01000 ..... 110 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl1re64.v vd, (rs1)", "000 0 00 1 01000 ..... 111 ..... 0000111", .zve64x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl2re64.v vd, (rs1)", "001 0 00 1 01000 ..... 111 ..... 0000111", .zve64x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl4re64.v vd, (rs1)", "011 0 00 1 01000 ..... 111 ..... 0000111", .zve64x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vl8re64.v vd, (rs1)", "111 0 00 1 01000 ..... 111 ..... 0000111", .zve64x) { x, i in x.vectorMemory(i, .loadWhole) },
        Pattern("vs1r.v vd, (rs1)", "000 0 00 1 01000 ..... 000 ..... 0100111", .zve32x) { x, i in x.vectorMemory(i, .storeWhole) },
        Pattern("vs2r.v vd, (rs1)", "001 0 00 1 01000 ..... 000 ..... 0100111", .zve32x) { x, i in x.vectorMemory(i, .storeWhole) },
        Pattern("vs4r.v vd, (rs1)", "011 0 00 1 01000 ..... 000 ..... 0100111", .zve32x) { x, i in x.vectorMemory(i, .storeWhole) },
        Pattern("vs8r.v vd, (rs1)", "111 0 00 1 01000 ..... 000 ..... 0100111", .zve32x) { x, i in x.vectorMemory(i, .storeWhole) },
        Pattern("vlm.v vd, (rs1)", "000 0 00 1 01011 ..... 000 ..... 0000111", .zve32x) { x, i in x.vectorMemory(i, .loadMask) },
        Pattern("vsm.v vd, (rs1)", "000 0 00 1 01011 ..... 000 ..... 0100111", .zve32x) { x, i in x.vectorMemory(i, .storeMask) },
    ]
}
