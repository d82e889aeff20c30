// `-cpu` arguments: models, switches in all their spellings, what brings what, what is refused and how. What extensions a
// CPU ends up with, and the reasons for refusals, are QEMU 10's for the same argument.

import RISCV
import Testing

@Suite struct CPUModelTests {
    @Test func switches() throws {
        let base = try CPUModel(parsing: "rv64").extensions
        #expect(base.contains(.zba) && base.contains(.zfa) && !base.contains(.zcb))
        for text in ["rv64,zba=off", "rv64,zba=false", "rv64,-zba"] {
            #expect(try CPUModel(parsing: text).extensions == base.subtracting(.zba), "\(text)")
        }
        for text in ["rv64,zcb=on", "rv64,zcb=true", "rv64,+zcb", "rv64,zcb"] {
            #expect(try CPUModel(parsing: text).extensions == base.union(.zcb), "\(text)")
        }
        #expect(try CPUModel(parsing: "rv64,zicfiss=false,zacas=off,priv_spec=v1.12.0,cboz_blocksize=64").extensions == base)
        #expect(try CPUModel(parsing: "rv64,rva22u64=on").extensions == base.union([.b, .zfhmin, .zkt]))
    }

    /// ISA strings without the properties of memory and what only a supervisor sees.
    @Test func implications() throws {
        let rest = "_zicbom_zicbop_zicboz_zicntr_zicsr_zifencei_zihintntl_zihintpause_zihpm_zmmul_zaamo_zalrsc_zawrs_zfa"
        let cases: [(String, String)] = [
            ("rv64", "rv64imafdc\(rest)_zca_zcd_zba_zbb_zbc_zbs"), ("rv64i", "rv64i"), ("rv64,c=off", "rv64imafd\(rest)_zba_zbb_zbc_zbs"),
            ("rv64,d=off", "rv64imafc\(rest)_zca_zba_zbb_zbc_zbs"), ("rv64,c=off,zcmp=on", "rv64imafd\(rest)_zca_zcmp_zba_zbb_zbc_zbs"),
            ("rv64,d=off,zce=on", "rv64imafc\(rest)_zca_zcb_zce_zcmp_zcmt_zba_zbb_zbc_zbs"),
            ("rv64,zcd=off", "rv64imafdc\(rest)_zca_zba_zbb_zbc_zbs"), ("rv64i,zce=on", "rv64ic_zicsr_zca_zcb_zce_zcmp_zcmt"),
            ("rv64i,zfh=on", "rv64if_zicsr_zfh_zfhmin"), ("rv64i,zfbfmin=on", "rv64if_zicsr_zfbfmin"), ("rv64i,d=on", "rv64ifd_zicsr"),
            ("rv64i,zcd=on", "rv64ifdc_zicsr_zca_zcd"), ("rv64i,g=on", "rv64imafd_zicsr_zifencei_zmmul_zaamo_zalrsc"),
            ("rv64i,zk=on", "rv64i_zbkb_zbkc_zbkx_zk_zkn_zknd_zkne_zknh_zkr_zkt"),
            ("rv64i,zks=on", "rv64i_zbkb_zbkc_zbkx_zks_zksed_zksh"), ("rv64i,zks=on,zksh=off", "rv64i_zbkb_zbkc_zbkx_zks_zksed"),
            ("rv64i,zabha=on", "rv64i_zabha"), ("rv64i,zcmt=on", "rv64ic_zicsr_zca_zcmt"), ("rv64i,zicntr=on", "rv64i_zicntr_zicsr"),
            ("rv64,m=off", "rv64iafdc_zicbom_zicbop_zicboz_zicntr_zicsr_zifencei_zihintntl_zihintpause_zihpm_zaamo_zalrsc_zawrs_zfa_zca_zcd_zba_zbb_zbc_zbs"),
            ("rva22u64", "rv64imafdcb_zicbom_zicbop_zicboz_zicntr_zicsr_zihintpause_zihpm_zmmul_zaamo_zalrsc_zfhmin_zca_zcd_zba_zbb_zbs_zkt"),
            ("rva23u64", "rv64imafdcbv_zicbom_zicbop_zicboz_zicond_zicntr_zicsr_zihintntl_zihintpause_zihpm_zimop_zmmul_zaamo_zalrsc_zawrs_zfa_zfhmin_zca_zcb_zcd_zcmop_zba_zbb_zbs_zkt_zvbb_zve32f_zve32x_zve64f_zve64d_zve64x_zvfhmin_zvkb_zvkt"),
            ("rv64,zvfbfwma=on", "rv64imafdc\(rest)_zfbfmin_zca_zcd_zba_zbb_zbc_zbs_zve32f_zve32x_zvfbfmin_zvfbfwma"),
            ("rv64,zvksc=on,v=on", "rv64imafdcv\(rest)_zca_zcd_zba_zbb_zbc_zbs_zvbc_zve32f_zve32x_zve64f_zve64d_zve64x_zvkb_zvks_zvksc_zvksed_zvksh_zvkt"),
        ]
        for (text, expected) in cases {
            #expect(try CPUModel(parsing: text).extensions.subtracting(.memoryProperties).isaString == expected, "\(text)")
        }
    }

    @Test func narrow() throws {
        let rest = "_zicbom_zicbop_zicboz_zicntr_zicsr_zifencei_zihintntl_zihintpause_zihpm_zmmul_zaamo_zalrsc_zawrs_zfa"
        let cases: [(String, String)] = [
            ("rv32", "rv32imafdc\(rest)_zca_zcd_zcf_zba_zbb_zbc_zbs"), ("rv32i", "rv32i"),
            ("rv32,d=off", "rv32imafc\(rest)_zca_zcf_zba_zbb_zbc_zbs"), ("rv32,c=off", "rv32imafd\(rest)_zba_zbb_zbc_zbs"),
            ("rv32i,f=on,zce=on", "rv32ifc_zicsr_zca_zcb_zce_zcf_zcmp_zcmt"),
        ]
        for (text, expected) in cases {
            #expect(try CPUModel(parsing: text, xlen: .rv32).extensions.subtracting(.memoryProperties).isaString == expected, "\(text)")
        }
        #expect(throws: CPUModelError.unknownModel("rv64")) { try CPUModel(parsing: "rv64", xlen: .rv32) }
        #expect(throws: CPUModelError.unknownModel("rv32")) { try CPUModel(parsing: "rv32") }
        #expect(throws: CPUModelError.contradiction("Zcf extension is only relevant to RV32")) { try CPUModel(parsing: "rv64,zcf=on") }
    }

    @Test func refusals() {
        let cases: [(String, CPUModelError)] = [
            ("sifive", .unknownModel("sifive")), ("", .unknownModel("")), ("rv64,zfoo=on", .unknownFeature("zfoo")),
            ("rv64,zicfiss=true", .contradiction("zicfiss extension requires zimop extension")), ("rv64,ztso=true", .unsupportedFeature("ztso")), ("rv64,zba=maybe", .badValue(feature: "zba", value: "maybe")),
            ("rv64,cboz_blocksize=128", .badNumber(feature: "cboz_blocksize", value: "128", expects: "64")),
            ("rv64,f=off", .contradiction("Zfa extension requires F extension")),
            ("rv64,f=off,zfa=off", .contradiction("D extension requires F extension")),
            ("rv64,zicsr=off", .contradiction("F extension requires Zicsr")),
            ("rv64,a=off", .contradiction("Zawrs extension requires A extension")),
            ("rv64i,zacas=on", .contradiction("Zacas extension requires A extension")),
            ("rv64,zcmp=on", .contradiction("Zcmp/Zcmt extensions are incompatible with Zcd extension")),
            ("rv64,zca=off", .contradiction("Zcf/Zcd/Zcb/Zcmp/Zcmt extensions require Zca extension")),
            ("rv64i,zcmop=on", .contradiction("Zcmop extensions require Zca")),
            ("rv64,zvbb=true", .contradiction("Vector crypto extensions require V or Zve* extensions")),
            ("rv64i,zvksed=on", .contradiction("Vector crypto extensions require V or Zve* extensions")),
            ("rv64,zvbc=on", .contradiction("Zvbc and Zvknhb extensions require V or Zve64x extensions")),
            ("rv64,v=on,d=off", .contradiction("Zve64d/V extensions require D extension")),
        ]
        for (text, expected) in cases {
            #expect(throws: expected, "\(text)") { try CPUModel(parsing: text) }
        }
    }
}
