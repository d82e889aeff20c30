import Block
import Formats

extension Registry {
    /// What disk images can be: formats, protocols, filters.
    public static let blockDrivers = Catalogue(
        formats: DiskFormats.all,
        protocols: BlockProtocols.all,
        filters: BlockFilters.all,
        fallback: RawFormat.self
    )
}
