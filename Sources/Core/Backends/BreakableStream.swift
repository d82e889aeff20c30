/// A stream from which a monitor can have a serial break come, as if it came from the world.
public protocol BreakableStream: CharacterStream { func comeBreak() }
