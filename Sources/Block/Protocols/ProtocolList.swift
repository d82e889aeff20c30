/// Every protocol that this module knows.
public enum BlockProtocols {
    public static let all: [any StorageDriver.Type] = [FileDriver.self, NullDriver.self, HTTPDriver.self, HTTPSDriver.self]
}
