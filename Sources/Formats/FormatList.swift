// The lists of formats and of protocols made here: one line each. Order decides only between formats that claim a file
// equally strongly.

import Block

/// Every format and protocol that this module knows.
public enum DiskFormats {
    public static let all: [any ImageFormat.Type] = [
        RawFormat.self,
        VDIFormat.self,
        LUKSFormat.self,
        QCOW2Format.self,
        VPCFormat.self,
        VMDKFormat.self,
        VHDXFormat.self,
        ParallelsFormat.self,
        QEDFormat.self,
        QCOWFormat.self,
        COWFormat.self,
        BochsFormat.self,
        CloopFormat.self,
        DMGFormat.self,
    ]
    public static let protocols: [any StorageDriver.Type] = [VVFATDriver.self]
}
