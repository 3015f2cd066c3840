import Faults
import Torch

/// A cache made of pages: its memory follows what is written, and sequences that begin alike share pages.
///
/// A page is copied when a cache writes to it while another one has it too.
public final class PagedCache: KVCache {
  public private(set) var count = 0
  private var pages: [Page] = []
  private let pool: PagePool

  init(pool: PagePool) { self.pool = pool }

  public var byteCount: Int { pages.count * pool.pageByteCount }

  public func truncate(to count: Int) {
    trap(unless: (0...self.count).contains(count), "\(count) of \(self.count) slots")
    self.count = count
    pages.removeLast(pages.count - pool.pages(for: count))
  }

  public func copy(upTo count: Int) -> PagedCache {
    trap(unless: (0...self.count).contains(count), "\(count) of \(self.count) slots")
    let copy = PagedCache(pool: pool)
    copy.pages = Array(pages.prefix(pool.pages(for: count)))
    copy.count = count
    return copy
  }

  public func pad(to count: Int) {
    guard count > self.count else { return }
    let fresh = pages.count
    reserve(count - self.count)
    for page in pages[fresh...] { pool[page.number].fill(0.01) }
    self.count = count
  }

  /// Makes room for more slots that the caller is about to write.
  func reserve(_ more: Int) {
    guard more > 0 else { return }
    if count % pool.slots > 0, !isKnownUniquelyReferenced(&pages[count / pool.slots]) {
      let own = Page(of: pool)
      pool[own.number].copy(from: pool[pages[count / pool.slots].number])
      pages[count / pool.slots] = own
    }
    while pages.count < pool.pages(for: count + more) { pages.append(Page(of: pool)) }
  }

  /// The pages, as long as nothing more is reserved, here or by others.
  var tensors: [Tensor] { pages.map { pool[$0.number] } }

  func grow(by more: Int) { count += more }
}

/// Some slots of one sequence in all blocks: [blocks, 2, heads, slots, head size], keys then values.
private final class Page {
  let number: Int
  private let pool: PagePool

  init(of pool: PagePool) {
    self.pool = pool
    number = pool.take()
  }

  deinit { pool.giveBack(number) }
}

/// The memory of all caches of one network. Pages that are given back serve again.
final class PagePool {
  /// Slots of a page: few, so that little is wasted at a sequence's end, yet enough for memory to be read in long
  /// stretches. Measured at batch 16, L = 1024, model small: with 32 a call takes 1.35 times as long as with one stretch a
  /// sequence, with 64 1.15, with 128 about 1.03.
  let slots = 128
  /// How keys and values are kept.
  let dtype: DType
  private let shape: [Int]
  private let device: Device
  /// Whether all pages are parts of one tensor, which then moves as it grows.
  private let isOneTensor: Bool
  private var pages: [Tensor] = []
  private var free: [Int] = []

  /// Pages in use, and the most that were at one time.
  private(set) var count = 0
  private(set) var peak = 0

  init(_ configuration: TransformerConfiguration, dtype: DType, device: Device, isOneTensor: Bool) {
    self.dtype = dtype
    shape = [configuration.numBlocks, 2, configuration.numHeads, slots, configuration.headSize]
    self.device = device
    self.isOneTensor = isOneTensor
  }

  var pageByteCount: Int { shape.reduce(dtype.byteCount, *) }

  func pages(for count: Int) -> Int { (count + slots - 1) / slots }

  subscript(number: Int) -> Tensor { pages[number] }

  func take() -> Int {
    count += 1
    peak = max(peak, count)
    if free.isEmpty { grow() }
    return free.removeLast()
  }

  func giveBack(_ page: Int) {
    count -= 1
    free.append(page)
  }

  private func grow() {
    guard isOneTensor else {
      free.append(pages.count)
      pages.append(.zeros(shape, dtype: dtype, device: device))
      return
    }
    let known = pages.count
    let all = Tensor.zeros([max(8, 2 * known)] + shape, dtype: dtype, device: device)
    let grown = (0..<all.size(0)).map { all.narrowed(dim: 0, to: $0..<$0 + 1).reshaped(shape) }
    for (page, before) in zip(grown, pages) { page.copy(from: before) }
    free += (known..<grown.count).reversed()
    pages = grown
  }

  /// Starts to look for the peak anew.
  func resetPeak() { peak = count }
}
