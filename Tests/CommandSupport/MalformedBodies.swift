/// Bodies of requests that nobody means: no JSON, wrong types, numbers beyond all limits, nested too deep.
public enum MalformedBodies {
  private static let writing = [
    "model", "seed", "stop", "stream", "temperature", "top_p", "top_k", "alpha0", "steps", "logit_bias",
    "presence_penalty",
  ]
  private static let llama = writing + ["prompt", "n_predict", "response_fields", "n_cmpl"]
  /// What is read of a body, by the server's paths that take one.
  private static let fields = [
    "/v1/completions": writing + [
      "prompt", "suffix", "max_tokens", "n", "best_of", "stream_options", "logprobs", "echo", "schedule", "order",
    ],
    "/v1/infill": writing + ["template", "n", "logprobs", "schedule"],
    "/v1/score": ["model", "text", "spans", "given", "orders", "seed", "alpha0"],
    "/tokenize": ["prompt", "content"], "/detokenize": ["tokens"],
    "/v1/fim/completions": writing + ["prompt", "suffix", "max_tokens"],
    "/infill": llama + ["input_prefix", "input_suffix", "input_extra"], "/completion": llama,
    "/api/generate": ["model", "prompt", "suffix", "options", "stream"], "/api/show": ["model", "name"],
  ]
  /// The server's paths that take a body.
  public static let paths = fields.keys.sorted()
  /// Values that a field may have at its limits and beyond.
  private static let values = [
    "null", "true", "0", "1", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551616", "1e308", "1e999", "-1e999", "NaN", "Infinity", "1.5", "\"\"", "\"a\"", "\"\\ud800\"",
    "\"\\u0000\"", "[]", "{}", "[[]]", "[[[[]]]]", "[1]", "[1e18]", "[-1]", "[[0,9223372036854775807]]", "[\"a\",1]",
    "{\"a\":1}", "\"[[9223372036854775807]]\"", "\"[[..1048576]]b\"", "\"a[[1048576]]\"", "\"tiny\"",
    "\"<fim_prefix>a<fim_suffix>b<fim_middle>\"", "[{\"text\":5}]", "[[0,1],[0,1]]", "\"\\uD83D\\uDE00\"",
  ]

  /// The next one, with fields that mostly mean something there.
  public static func next(_ random: inout some RandomNumberGenerator, for path: String) -> [UInt8] {
    func pick<Element>(_ all: [Element]) -> Element { all[Int.random(in: all.indices, using: &random)] }
    switch Int.random(in: 0..<8, using: &random) {
    case 0: return (0..<Int.random(in: 0..<60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    case 1: return Array(String(repeating: pick(["[", "{\"a\":", "[{\"a\":"]), count: 5000).utf8)
    default:
      let members = (0..<Int.random(in: 0..<6, using: &random)).map { _ in
        let other = Int.random(in: 0..<20, using: &random) == 0
        return "\"\(pick(fields[other ? pick(paths) : path]!))\": \(pick(values))"
      }
      var bytes = Array("{\(members.joined(separator: ", "))}".utf8)
      if Int.random(in: 0..<3, using: &random) == 0 {
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
          let place = Int.random(in: bytes.indices, using: &random)
          switch Int.random(in: 0..<3, using: &random) {
          case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
          case 1: bytes.remove(at: place)
          default: bytes = Array(bytes[..<place])
          }
        }
      }
      return bytes
    }
  }
}
