/// Every filter that this module knows.
public enum BlockFilters {
    public static let all: [any FilterDriver.Type] = [ThrottleDriver.self, CopyOnReadDriver.self, FaultInjectionDriver.self, WriteLogDriver.self]
}
