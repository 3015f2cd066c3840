#!/usr/bin/env bash
# Guess:   a task that sleeps and is cancelled is gone, and with it what it held.
# Seen:    on Linux the sleep throws at once, but the task's memory stays until the time at which it was to awake. A
#          timeout made of a sleep that is cancelled when the work is done in time, as timeouts in Swift are usually
#          written, so keeps memory for every request of the last minute or ten; with sleeps of a moment it stays flat.
# Version: Swift 6.3.1, Linux.
# Matters: servers with a time limit for each request: memory grows with requests a second times the limit, which looks
#          like a leak. A timer of the event loop that is cancelled gives its memory back.
# Needs:   swiftc 6.3.1 in place of a package.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > sleep.swift <<'SWIFT'
import Foundation

func residentMegabytes() -> Double {
  let words = try! String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
  return Double(words[1])! * 4096 / 1e6
}

/// The work is nothing; its time limit is cancelled at once.
func limited(_ limit: Duration) async {
  let timer = Task { try await Task.sleep(for: limit) }
  timer.cancel()
  _ = await timer.result
}

@main struct Main {
  static func main() async {
    let limit = Duration.milliseconds(Int64(CommandLine.arguments[1])!)
    for _ in 0..<20_000 { await limited(.zero) }
    let before = residentMegabytes()
    for _ in 0..<300_000 { await limited(limit) }
    print(String(format: "%.1f", residentMegabytes() - before))
  }
}
SWIFT
swiftc -O -parse-as-library sleep.swift -o sleep
short=$(./sleep 1)
long=$(./sleep 3600000)
echo "300,000 cancelled sleeps of a millisecond: $short MB more; of an hour: $long MB more"
awk -v short="$short" -v long="$long" 'BEGIN { exit !(long > 30 && long > 10 * (short + 1)) }'
