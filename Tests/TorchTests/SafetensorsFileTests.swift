import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Safetensors files")
struct SafetensorsFileTests {
  private func file(_ header: String, data: Int = 0, claiming length: UInt64? = nil) -> Data {
    var bytes = withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Data($0) }
    bytes += Data(header.utf8)
    return bytes + Data(repeating: 0, count: data)
  }

  @Test func tensorsOfEveryTypeComeBack() throws {
    try withTemporaryFolder { folder in
      let numbers = Tensor([0, 1, 1, 0, 1, 0] as [Double], shape: [2, 3])
      let tensors =
        DType.allCases.map { ("t.\($0.rawValue)", numbers.to($0)) } + [
          ("empty", Tensor.zeros([4, 0], dtype: .int32)), ("number", Tensor([2.5] as [Float], shape: [])),
          ("name with \"quotes\", ü and /", Tensor([-1] as [Int64])),
        ]
      let metadata = ["format": "pt", "note": "line\nbreak"]
      try SafetensorsFile.write(tensors, metadata: metadata, to: "\(folder)/a.safetensors")
      let file = try SafetensorsFile(contentsOf: "\(folder)/a.safetensors")
      #expect(file.metadata == metadata)
      #expect(file.entries.count == tensors.count)
      for (name, tensor) in tensors {
        let entry = try #require(file.entries[name])
        #expect(entry.dtype == tensor.dtype)
        #expect(entry.shape == tensor.shape)
        let found = try file.tensor(name)
        #expect(found.dtype == tensor.dtype)
        #expect(distance(found, tensor) == 0)
      }
    }
  }

  @Test func writingLeavesTheOrderOfTensorsAndAlignsTheData() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.safetensors"
      try SafetensorsFile.write([("b", Tensor([1, 2] as [UInt8])), ("a", Tensor([3] as [UInt8]))], to: path)
      let header =
        #"{"a":{"data_offsets":[2,3],"dtype":"U8","shape":[1]},"b":{"data_offsets":[0,2],"dtype":"U8","shape":[2]}}"#
      let padded = header + String(repeating: " ", count: (64 - (8 + header.utf8.count) % 64) % 64)
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == file(padded) + Data([1, 2, 3]))
    }
  }

  @Test func aFileWithoutTensorsIsValid() throws {
    #expect(try SafetensorsFile(file("{}"), path: "x").entries.isEmpty)
    try withTemporaryFolder { folder in
      try SafetensorsFile.write([], metadata: ["a": "b"], to: "\(folder)/a")
      #expect(try SafetensorsFile(contentsOf: "\(folder)/a").metadata == ["a": "b"])
    }
  }

  @Test func aPartOfALargerBufferCanBeRead() throws {
    let whole = Data([9, 9, 9]) + file(#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#) + Data([5, 6])
    let part = try SafetensorsFile(whole[3...], path: "x")
    #expect(try part.tensor("a").array(of: UInt8.self) == [5, 6])
  }

  @Test func partsOfTensorsAreWrittenInRowMajorOrder() throws {
    try withTemporaryFolder { folder in
      let matrix = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
      let tensors = [("turned", matrix.transposed(0, 1)), ("column", matrix.narrowed(dim: 1, to: 1..<2))]
      try SafetensorsFile.write(tensors, to: "\(folder)/a")
      let file = try SafetensorsFile(contentsOf: "\(folder)/a")
      #expect(try file.tensor("turned").array(of: Float.self) == [1, 4, 2, 5, 3, 6])
      #expect(try file.tensor("column").array(of: Float.self) == [2, 5])
    }
  }

  // MARK: Damage

  @Test(arguments: [0, 7])
  func aFileTooShortForALengthIsRefused(byteCount: Int) {
    #expect(
      message { try SafetensorsFile(Data(count: byteCount), path: "x") }
        == "x is no valid safetensors file: it has \(byteCount) bytes, fewer than a header's length takes")
  }

  @Test(arguments: [3, 1 << 32, UInt64.max])
  func aHeaderLongerThanItsFileIsRefused(length: UInt64) {
    #expect(
      message { try SafetensorsFile(file("{}", claiming: length), path: "x") }
        == "x is no valid safetensors file: its header claims \(length) bytes, the file has 2 after the header's length"
    )
  }

  private static let types = "F32, F64, F16, BF16, I64, I32, I8, U8, BOOL"

  /// Headers before 8 bytes of data.
  @Test(arguments: [
    ("", "its header cannot be read (at byte 0: expected an object)"),
    ("{", "its header cannot be read (at byte 1: expected a key in quotes)"),
    ("{} x", "its header cannot be read (at byte 3: expected the end)"),
    ("\u{0}{}", "its header cannot be read (at byte 0: expected an object)"),
    (#"{"a":{}}"#, "its header cannot be read (field 'a.dtype' is missing)"),
    (#"{"a":7}"#, "its header cannot be read (at byte 5: expected an object)"),
    (#"{"a":{"dtype":"F32"}}"#, "its header cannot be read (field 'a.shape' is missing)"),
    (#"{"a":{"dtype":"F32","shape":[2]}}"#, "its header cannot be read (field 'a.data_offsets' is missing)"),
    (
      #"{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}"#,
      "its header cannot be read (at byte 28: expected a list)"
    ),
    (
      #"{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}"#,
      "its header cannot be read (at byte 29: expected a whole number)"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
      "its header cannot be read (at byte 29: expected a whole number)"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#,
      "its header cannot be read (at byte 29: expected a whole number)"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#,
      "its header cannot be read (tensor 'a' is there twice)"
    ),
    (#"{"a\x":{}}"#, "its header cannot be read (at byte 4: expected an escape that JSON has)"),
    (
      #"{"__metadata__":{"a":1}}"#, "its header cannot be read (at byte 21: expected a string)"
    ),
    (
      #"{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#,
      "tensor 'a' has type F8_E4M3, expected \(types)"
    ),
    (
      #"{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}"#, "tensor 'a' has type f32, expected \(types)"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#, "tensor 'a' lies at [0], the file has 8 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}"#,
      "tensor 'a' lies at [0, 4, 8], the file has 8 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#,
      "tensor 'a' lies at [-8, 0], the file has 8 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
      "tensor 'a' lies at [8, 0], the file has 8 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#,
      "tensor 'a' lies at [0, 12], the file has 8 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
      "tensor 'a' of shape [3] and type F32 needs 12 bytes, its offsets [0, 8] hold 8"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,8]}}"#,
      "tensor 'a' of shape [] and type F32 needs 4 bytes, its offsets [0, 8] hold 8"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}"#, "tensor 'a' has the impossible shape [-1, -2]"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[4611686018427387904,2],"data_offsets":[0,8]}}"#,
      "tensor 'a' has the impossible shape [4611686018427387904, 2]"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}"#,
      "tensor 'a' has the impossible shape [0, 4611686018427387904, 4611686018427387904]"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[6],"data_offsets":[2,8]}}"#,
      "tensor 'a' starts at byte 2 of the data, expected 0"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}}"#,
      "tensor 'b' starts at byte 3 of the data, expected 4"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#,
      "tensor 'b' starts at byte 0 of the data, expected 8"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}}"#,
      "its tensors end at byte 7 of the data, the file at 8"
    ),
    ("{}", "its tensors end at byte 0 of the data, the file at 8"),
  ])
  func aHeaderThatDoesNotFitIsRefused(header: String, problem: String) {
    #expect(
      message { try SafetensorsFile(file(header, data: 8), path: "x") } == "x is no valid safetensors file: \(problem)")
  }

  @Test func aHeaderOfAnotherKindIsRefused() {
    for header in ["[]", "7", "null", #""a""#] {
      let text = message { try SafetensorsFile(file(header), path: "x") }
      #expect(text?.hasPrefix("x is no valid safetensors file: its header cannot be read (") == true)
    }
  }

  @Test func deeplyNestedHeadersAreRefused() {
    let text = message {
      try SafetensorsFile(file(String(repeating: #"{"a":"#, count: 100_000), data: 8), path: "x")
    }
    #expect(
      text == "x is no valid safetensors file: its header cannot be read (field 'a.dtype' is missing)"
        || text?.contains("at most 64 levels") == true, "\(text ?? "read")")
  }

  @Test func aTensorMayHaveManyDimensions() throws {
    let shape = [Int](repeating: 1, count: 200)
    let header = #"{"a":{"dtype":"F32","shape":\#(shape),"data_offsets":[0,4]}}"#
    let tensor = try SafetensorsFile(file(header, data: 4), path: "x").tensor("a")
    #expect(tensor.shape == shape)
    #expect(tensor.array(of: Double.self) == [0])
  }

  @Test func aTensorThatIsNotThereIsNamed() throws {
    let empty = try SafetensorsFile(file("{}"), path: "x")
    #expect(message { try empty.tensor("wte") } == "x has no tensor 'wte'")
    #expect(message { try SafetensorsFile(contentsOf: "no/x") } == "cannot read no/x: there is no such file")
  }

  // MARK: Mutations

  @Test func noMutationOfAFileStopsTheProgram() throws {
    let originals = [
      file(#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#, data: 8),
      file(
        #"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[8,11]}}"#,
        data: 11),
      file(#"{"e":{"dtype":"BF16","shape":[0,9000000000,1],"data_offsets":[0,0]}}"#),
      file("{}  "),
    ]
    var generator = CounterGenerator(seed: 1, stream: .toyLanguage)
    var read = 0
    for round in 0..<20_000 {
      let data = mutated(originals[round % originals.count], using: &generator)
      guard let file = try? SafetensorsFile(data, path: "x") else { continue }
      for name in file.entries.keys { #expect(try file.tensor(name).array(of: Float.self).count >= 0) }
      read += 1
    }
    #expect((500..<19_500).contains(read), "mutations should leave some files valid and most not")
  }

  /// A few bytes changed, a piece cut out or doubled, the end cut off, or another header length.
  private func mutated(_ data: Data, using generator: inout CounterGenerator) -> Data {
    var bytes = [UInt8](data)
    func place() -> Int { Int.random(in: 0..<bytes.count, using: &generator) }
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: bytes.removeLast(place())
    case 1: bytes[0] = .random(in: 0...255, using: &generator)
    case 2:
      for byte in UInt64.random(in: 0...(.max), using: &generator).bytes.enumerated() {
        bytes[byte.offset] = byte.element
      }
    case 3:
      let start = place()
      bytes.insert(contentsOf: bytes[start..<min(bytes.count, start + 8)], at: start)
    case 4:
      // Digits and signs for digits and signs, which leaves valid JSON with other numbers.
      let numbers = bytes.indices.filter { $0 >= 8 && (48...57).contains(bytes[$0]) }
      for _ in 0..<3 where !numbers.isEmpty {
        bytes[numbers.randomElement(using: &generator)!] = Array("0123456789-.e,".utf8).randomElement(
          using: &generator)!
      }
    default:
      for _ in 0...Int.random(in: 0..<4, using: &generator) { bytes[place()] = .random(in: 0...255, using: &generator) }
    }
    return Data(bytes)
  }
}

extension UInt64 {
  fileprivate var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) } }
}
