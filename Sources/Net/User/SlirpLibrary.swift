// libslirp, loaded when the first machine wants user-mode networking.

import CSlirp
import Core
import Glibc

/// The functions of libslirp that are used. Found once, never unloaded.
struct SlirpLibrary: Sendable {
    typealias Make = @convention(c) (UnsafePointer<SlirpConfig>?, UnsafePointer<SlirpCb>?, UnsafeMutableRawPointer?) -> OpaquePointer?
    typealias End = @convention(c) (OpaquePointer?) -> Void
    typealias AddPoll = @convention(c) (Int32, Int32, UnsafeMutableRawPointer?) -> Int32
    typealias Fill = @convention(c) (OpaquePointer?, UnsafeMutablePointer<UInt32>?, AddPoll?, UnsafeMutableRawPointer?) -> Void
    typealias GetReady = @convention(c) (Int32, UnsafeMutableRawPointer?) -> Int32
    typealias Poll = @convention(c) (OpaquePointer?, Int32, GetReady?, UnsafeMutableRawPointer?) -> Void
    typealias Input = @convention(c) (OpaquePointer?, UnsafePointer<UInt8>?, Int32) -> Void
    typealias HandleTimer = @convention(c) (OpaquePointer?, SlirpTimerId, UnsafeMutableRawPointer?) -> Void
    typealias AddForward = @convention(c) (OpaquePointer?, UnsafePointer<sockaddr>?, socklen_t, UnsafePointer<sockaddr>?, socklen_t, Int32) -> Int32
    typealias RemoveForward = @convention(c) (OpaquePointer?, UnsafePointer<sockaddr>?, socklen_t, Int32) -> Int32
    typealias AddCommand = @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, UnsafeMutablePointer<in_addr>?, Int32) -> Int32
    typealias Write = @convention(c) (UnsafeRawPointer?, Int, UnsafeMutableRawPointer?) -> Int
    typealias AddService = @convention(c) (OpaquePointer?, Write?, UnsafeMutableRawPointer?, UnsafeMutablePointer<in_addr>?, Int32) -> Int32
    typealias CanReceive = @convention(c) (OpaquePointer?, in_addr, Int32) -> Int
    typealias Receive = @convention(c) (OpaquePointer?, in_addr, Int32, UnsafePointer<UInt8>?, Int32) -> Void
    typealias Info = @convention(c) (OpaquePointer?) -> UnsafeMutablePointer<CChar>?

    let make: Make
    let end: End
    let fill: Fill
    let poll: Poll
    let input: Input
    let handleTimer: HandleTimer
    let addForward: AddForward
    let removeForward: RemoveForward
    let addCommand: AddCommand
    let addService: AddService
    let canReceive: CanReceive
    let receive: Receive
    let connections: Info

    private static let loaded: SlirpLibrary? = SlirpLibrary()

    static func load() throws(ConfigurationError) -> SlirpLibrary {
        guard let loaded else { throw ConfigurationError("user-mode networking needs libslirp 4.7 (Debian: apt install libslirp0), which is not installed") }
        return loaded
    }

    private init?() {
        guard let library = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL) else { return nil }
        func find<Function>(_ name: String, _ type: Function.Type) -> Function? {
            guard let symbol = dlsym(library, "slirp_" + name) else { return nil }
            return unsafeBitCast(symbol, to: type)
        }
        guard let make = find("new", Make.self), let end = find("cleanup", End.self), let fill = find("pollfds_fill", Fill.self),
              let poll = find("pollfds_poll", Poll.self), let input = find("input", Input.self), let handleTimer = find("handle_timer", HandleTimer.self),
              let addForward = find("add_hostxfwd", AddForward.self), let removeForward = find("remove_hostxfwd", RemoveForward.self),
              let addCommand = find("add_exec", AddCommand.self), let addService = find("add_guestfwd", AddService.self),
              let canReceive = find("socket_can_recv", CanReceive.self), let receive = find("socket_recv", Receive.self),
              let connections = find("connection_info", Info.self) else { return nil }
        self.make = make
        self.end = end
        self.fill = fill
        self.poll = poll
        self.input = input
        self.handleTimer = handleTimer
        self.addForward = addForward
        self.removeForward = removeForward
        self.addCommand = addCommand
        self.addService = addService
        self.canReceive = canReceive
        self.receive = receive
        self.connections = connections
    }
}
