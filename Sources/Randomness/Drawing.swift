import Faults

// Whole numbers and orders as functions of a generator's numbers alone. The standard library has both, but another
// version of it may draw otherwise, and a run must be repeatable: a seed stands for one order of the data, one mask, one
// plan. Earlier runs drew by the standard library; what they drew, these draw.

extension RandomNumberGenerator {
  /// A uniform number from 0 to `bound` − 1 (Lemire, "Fast random integer generation in an interval", 2019).
  ///
  /// With x uniform below 2⁶⁴ the upper half of x · bound is nearly uniform; it is exactly so once those x are drawn again
  /// whose lower half is below 2⁶⁴ mod bound.
  ///
  /// - Precondition: `bound` is at least 1.
  public mutating func integer(below bound: Int) -> Int {
    trap(unless: bound >= 1, "there is no number from 0 to \(bound - 1)")
    let bound = UInt64(bound)
    while true {
      let product = next().multipliedFullWidth(by: bound)
      if product.low >= bound || product.low >= (0 &- bound) % bound { return Int(product.high) }
    }
  }
}

extension Sequence {
  /// The elements in an order of which all are as likely (Fisher and Yates, from the front): each place in turn gets one
  /// of the elements that have none yet.
  public func inRandomOrder(using generator: inout some RandomNumberGenerator) -> [Element] {
    var elements = Array(self)
    for place in elements.indices.dropLast() {
      elements.swapAt(place, place + generator.integer(below: elements.count - place))
    }
    return elements
  }
}
