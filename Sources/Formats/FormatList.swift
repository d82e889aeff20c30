// The list of formats: one line each. Order decides only between formats that claim a file equally strongly.

import Block

/// Every format, protocol and filter that this module knows.
public enum DiskFormats {
    public static let all: [any ImageFormat.Type] = [
        RawFormat.self,
        VDIFormat.self,
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
        LUKSFormat.self,
    ]
}
