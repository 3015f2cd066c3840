import CTorch

extension Tensor {
  /// Makes this a parameter: `backward` on what is computed from it fills `gradient`.
  @discardableResult
  public func requiringGradient() -> Tensor {
    withExtendedLifetime(self) { must(ct_set_requires_grad(handle, true)) }
    return self
  }

  /// Adds the gradient of this number to `gradient` of every parameter that it was computed from.
  ///
  /// What the operations had kept for it is freed: where they had kept anything, another call through them stops the
  /// program.
  public func backward() { withExtendedLifetime(self) { must(ct_backward(handle)) } }

  /// The same, telling when the gradient of each of some parameters is complete.
  ///
  /// - Parameters:
  ///   - parameters: those that are watched.
  ///   - isComplete: called with the place of a parameter in the list, on the CPU by the calling thread, elsewhere by one of
  ///     autograd's, for which the calling one waits. It may read the gradient and forget it.
  public func backward(from parameters: [Tensor], isComplete: (Int) -> Void) {
    withoutActuallyEscaping(isComplete) { isComplete in
      withUnsafePointer(to: isComplete as (Int) -> Void) { context in
        withHandles(parameters) { handles in
          withExtendedLifetime(self) {
            must(
              ct_backward_watching(
                handle, handles, Int64(parameters.count),
                { $1!.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int($0)) },
                UnsafeMutableRawPointer(mutating: context)))
          }
        }
      }
    }
  }

  /// The gradient that was last computed; nil if there is none.
  public var gradient: Tensor? {
    withExtendedLifetime(self) {
      var out: OpaquePointer?
      must(ct_grad(handle, &out))
      return out.map(Tensor.init(owning:))
    }
  }

  /// Forgets the gradient.
  public func clearGradient() { withExtendedLifetime(self) { must(ct_clear_grad(handle)) } }

  /// The result of a function of tensors that is called again in the backward pass, so that nothing of what it computes in
  /// between is kept until then.
  ///
  /// - Parameters:
  ///   - inputs: all that has gradients and goes into it.
  ///   - body: computes the result from tensors in the place of `inputs`; twice the same from the same. Dropout drops the
  ///     same both times.
  public static func recomputed(_ inputs: [Tensor], _ body: @escaping ([Tensor]) -> Tensor) -> Tensor {
    final class Context {
      let count: Int
      let body: ([Tensor]) -> Tensor
      init(_ count: Int, _ body: @escaping ([Tensor]) -> Tensor) { (self.count, self.body) = (count, body) }
    }
    let context = Unmanaged.passRetained(Context(inputs.count, body)).toOpaque()
    var out: OpaquePointer?
    withHandles(inputs) {
      must(
        ct_recomputed(
          $0, Int64(inputs.count),
          { handles, context in
            let own = Unmanaged<Context>.fromOpaque(context!).takeUnretainedValue()
            let result = own.body((0..<own.count).map { Tensor(owning: handles![$0]!) })
            // The same tensor in a handle of its own, which the caller frees.
            return withExtendedLifetime(result) {
              var copy: OpaquePointer?
              must(ct_to_dtype(result.handle, result.dtype.code, &copy))
              return copy
            }
          }, { Unmanaged<AnyObject>.fromOpaque($0!).release() }, context, &out))
    }
    return Tensor(owning: out!)
  }

  /// The same elements, cut off from what they were computed from.
  public func detached() -> Tensor { produce(self, ct_detach) }
}

/// Runs synchronous code that records nothing for `backward`.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
  let before = ct_set_grad_enabled(false)
  defer { _ = ct_set_grad_enabled(before) }
  return try body()
}

/// Runs synchronous code whose matrix products and attention compute in bfloat16 while weights stay as they are.
public func withBFloat16<Result>(_ enabled: Bool, on device: Device, _ body: () throws -> Result) rethrows -> Result {
  guard enabled else { return try body() }
  var before = false
  must(ct_set_bfloat16_autocast(device.code, true, &before))
  defer {
    var inside = true
    must(ct_set_bfloat16_autocast(device.code, before, &inside))
  }
  return try body()
}
