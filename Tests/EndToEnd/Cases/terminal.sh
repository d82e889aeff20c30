# Pseudo-terminals: job control, window size, echo, control characters, through Python's pty.
python3 -I - <<'EOF'
import os, pty, termios, struct, fcntl, time, select
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

seen = b""
def until(text, limit=20):
    global seen
    end = time.time() + limit
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], .2)[0]:
            try: seen += os.read(fd, 4096)
            except OSError: break
    _, found, seen = seen.partition(text)
    return found == text

def say(text): os.write(fd, text)

until(b"bash-")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
say(b"PS1='> '; stty size; tty | grep -c /dev/pts; e''cho ready\n"); print("size", until(b"40 120"), until(b"ready"))
say(b"echo sta''rted; sleep 100\n"); until(b"started"); time.sleep(1)
say(b"\x1a"); print("stops", until(b"Stopped"))
say(b"bg; jobs; e''cho list''ed\n"); print("background", until(b"Running"), until(b"listed"))
say(b"fg\n"); until(b"sleep 100"); time.sleep(1)
say(b"\x03"); time.sleep(.5); say(b"echo stat''us $?\n"); print("interrupt", until(b"status 130"))
say(b"trap 'echo wi''nd' WINCH; echo list''ening\n"); until(b"listening")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0)); time.sleep(.5); say(b"\n"); print("resize", until(b"wind"))
say(b"stty -echo; read x; stty echo; echo \"<$x>\"\n"); time.sleep(1); say(b"hidden\n"); print("echo off", until(b"<hidden>"))
say(b"exit 5\n"); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOF
