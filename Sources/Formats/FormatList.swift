// The list of formats: one line each. Order decides only between formats that claim a file equally strongly.

import Block

/// Every format, protocol and filter that this module knows.
public enum DiskFormats {
    public static let all: [any ImageFormat.Type] = [
        RawFormat.self,
        VDIFormat.self,
        QCOW2Format.self,
        LUKSFormat.self,
    ]
}
