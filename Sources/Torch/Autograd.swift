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
