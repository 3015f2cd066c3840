import Parity
for f in CommandLine.arguments.dropFirst() {
  do {
    for r in try Parity.verify(folder: f) {
      if !r.passed || r.error > 1e-6 { print(f.split(separator: "/").last!, r.tensor, r.error, r.tolerance, r.passed) }
    }; print("done", f)
  } catch { print(error) }
}
