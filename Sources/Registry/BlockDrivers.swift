import Block
import Formats
import NBD

extension Registry {
    /// What disk images can be: formats, protocols, filters.
    public static let blockDrivers = Catalogue(
        formats: DiskFormats.all,
        protocols: BlockProtocols.all + DiskFormats.protocols + [NBDDriver.self],
        filters: BlockFilters.all,
        objects: [TLSObjectKind.self, ThrottleGroupKind.self],
        fallback: RawFormat.self
    )
}
