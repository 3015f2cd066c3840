#!/usr/bin/env bash
# Guess:   a signal that is ignored (SIG_IGN) and watched by a DispatchSource disturbs nobody: it stays ignored, the source
#          only hears of it. So it is on macOS, and so programs that shut down in order are written.
# Seen:    on Linux the source puts a handler of its own in place of SIG_IGN (with SA_RESTART). The thread that gets the
#          first signal is broken off in what is never restarted: sleep, as poll and select, returns early; reads go on.
#          Without the source the same sleep goes on to its end. And a program that is started then does not inherit that
#          the signal is ignored.
# Version: Swift 6.3.1 (libdispatch), Linux.
# Matters: trainings and servers that save on SIGTERM or on Slurm's SIGUSR1: code that sleeps or polls sees the signal all
#          the same, and helpers that are started end by it.
# Needs:   swiftc 6.3.1 in place of a package.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > signal.swift <<'SWIFT'
import Dispatch
import Foundation

@main struct Main {
  static func main() throws {
    signal(SIGUSR1, SIG_IGN)
    var source: (any DispatchSourceSignal)?
    if CommandLine.arguments.contains("watched") {
      source = DispatchSource.makeSignalSource(signal: SIGUSR1, queue: .global())
      source?.setEventHandler {}
      source?.activate()
      usleep(300_000)
    }
    let thread = pthread_self()
    DispatchQueue.global().asyncAfter(deadline: .now() + 0.5) { pthread_kill(thread, SIGUSR1) }
    let left = sleep(4)
    // Bit 9 of the ignored signals is SIGUSR1.
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/bin/sh")
    child.arguments = ["-c", "awk '/SigIgn/ { print substr($2, 14, 1) }' /proc/self/status"]
    let output = Pipe()
    child.standardOutput = output
    try child.run()
    child.waitUntilExit()
    let digit = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let isIgnored = Int(digit.trimmingCharacters(in: .newlines), radix: 16)! & 2 != 0
    withExtendedLifetime(source) { print(left, isIgnored ? "ignored" : "default") }
  }
}
SWIFT
swiftc -O -parse-as-library signal.swift -o signal
ignored=$(./signal)
watched=$(./signal watched)
echo "seconds of sleep left when the signal has come, and what a program started then does with it:"
echo "  ignored:                        $ignored"
echo "  ignored, and watched by Dispatch: $watched"
[ "$ignored" = "0 ignored" ]
[ "${watched% *}" -ge 2 ] && [ "${watched#* }" = default ]
