/// A tensor of a file, looked at before it is read.
public struct StoredTensor {
  /// Its name.
  public let name: String
  /// The type of its elements in the file.
  public let dtype: DType
  /// Its dimensions.
  public let shape: [Int]
  private let read: () throws -> Tensor

  /// - Parameters:
  ///   - name: its name.
  ///   - dtype: the type of its elements.
  ///   - shape: its dimensions.
  ///   - read: makes a tensor of that type and shape on the CPU, whenever it is asked for.
  public init(name: String, dtype: DType, shape: [Int], read: @escaping () throws -> Tensor) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.read = read
  }

  /// A copy on the CPU, made anew with every call.
  public func tensor() throws -> Tensor { try read() }

  /// Numbers in it.
  public var count: Int { shape.reduce(1, *) }

  /// The same tensor under another name.
  public func renamed(_ name: String) -> StoredTensor {
    StoredTensor(name: name, dtype: dtype, shape: shape, read: read)
  }
}
