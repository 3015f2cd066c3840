import EsoLM
import Files
import Torch

// The methods beside Eso-LM: AR, MDLM, BD3-LM.
extension Parity {
  static func autoregressive(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let (model, sequences) = (try parityCase.model(), try parityCase.tokens("x0"))
    let inputs = try parityCase.tokens("input_tokens")
    guard let row = inputs.first, let start = row.first, let length = sequences.first?.count,
      row.count == length || row.count == length - 1
    else {
      throw FileError("\(parityCase.inputs.path): 'input_tokens' does not fit 'x0'")
    }
    // A token before the text makes the input as long as the text.
    let method = AutoregressiveMethod(start: .init(token: start, isText: row.count < length))
    let batch = method.trainingBatch(sequences, maskToken: parityCase.maskToken, seed: 0, step: 0)
    guard batch.input.tokens == inputs.flatMap({ $0.map(Int64.init) }) else {
      throw FileError("\(parityCase.inputs.path): 'input_tokens' is not what an autoregressive model reads of 'x0'")
    }
    let network = model.transformer()
    let (loss, nll) = network.loss(of: batch)
    loss.backward()
    return gradients(of: model).merging([
      "loss": [loss.item], "nll": nll.array(), "logits": withoutGradients { network.logits(batch.input) }.array(),
    ]) { $1 }
  }

  static func maskedDiffusion(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let (model, clean, noised) = (try parityCase.model(), try parityCase.tokens("x0"), try parityCase.tokens("xt"))
    let (network, times) = (model.transformer(), try parityCase.numbers("t"))
    let (mask, objective) = (Int32(parityCase.maskToken), MaskedDiffusionMethod().objective)
    guard clean.map(\.count) == noised.map(\.count), times.count == clean.count else {
      throw FileError("\(parityCase.inputs.path): 'xt' or 't' does not fit 'x0'")
    }
    let orders = noised.map { GenerationOrder.ascending(masked: $0.map { $0 == mask }) }
    let batch = zip(zip(clean, orders), times).map {
      HybridObjective.Corrupted(PaddedTokens($0.0), order: $0.1, time: $1)
    }
    let scored = objective.scored(batch, maskToken: Int(mask))
    let (loss, nll) = network.loss(of: scored)
    loss.backward()
    var rest = (nll.array() as [Double])[...]
    let unweighted = orders.map { order in
      var row = [Double](repeating: 0, count: order.length)
      for position in order.positions[order.cleanCount...] { row[position] = rest.removeFirst() }
      return row
    }
    var found = gradients(of: model)
    found["loss"] = [loss.item]
    found["nll_low_var"] = unweighted.flatMap { $0 }
    found["nll_elbo"] = zip(unweighted, times).flatMap { row, time in row.map { $0 * objective.weight(at: time) } }
    // In text order, which bidirectional attention does not care about, with an output everywhere.
    var everything = NetworkInput()
    everything.append(
      noised.map { row in
        let slots = Array(row.indices)
        return NetworkSequence(tokens: row, positions: slots, cleanCount: 0, masked: [], outputs: slots)
      }, pattern: .bidirectional, maskToken: Int(mask))
    found["logits"] = withoutGradients { network.logits(everything) }.array()

    // One ancestral update: each masked token is written with a chance, and then drawn from the distribution of the picker.
    let (time, step) = (try parityCase.numbers("update_t"), try parityCase.numbers("update_dt"))
    guard time.count == 1, step.count == 1 else {
      throw FileError("\(parityCase.inputs.path): 'update_t' and 'update_dt' must be single numbers")
    }
    let chance = objective.schedule.unmaskingChance(from: time[0], to: time[0] - step[0])
    for name in parityCase.expected.entries.keys {
      guard let p = name.split(separator: "update_probabilities.top_p_").first.flatMap({ Double($0) }) else { continue }
      let logits = withoutGradients { network.logits(scored.input) }
      found[name] = try TokenPicker(topP: p).distribution(of: logits, excluding: Int(mask)).flatMap { distribution in
        distribution.enumerated().map { $0 == Int(mask) ? 1 - chance : chance * $1 }
      }
    }
    return found
  }

  static func blockDiffusion(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let (model, clean, noised) = (try parityCase.model(), try parityCase.tokens("x0"), try parityCase.tokens("xt"))
    let (network, mask) = (model.transformer(), Int32(parityCase.maskToken))
    let (allTimes, length) = (try parityCase.numbers("t"), clean.first?.count ?? 0)
    guard let size = parityCase.description.algo?.blockSize, size > 0, length > 0, length % size == 0,
      allTimes.count == clean.count * length, clean.map(\.count) == noised.map(\.count)
    else {
      throw FileError("\(parityCase.folder): 'algo.block_size', 'xt' or 't' does not fit 'x0'")
    }
    let method = try BlockDiffusionMethod(blockSize: size)
    let members = clean.indices.map { row in
      method.member(
        PaddedTokens(clean[row]), masked: (0..<length).filter { noised[row][$0] == mask },
        times: stride(from: 0, to: length, by: size).map { allTimes[row * length + $0] },
        scale: 1 / Double(clean.count * length))
    }
    var batch = ScoredBatch()
    batch.append(members, pattern: .blockDiffusion(size), maskToken: Int(mask))
    let (loss, nll) = network.loss(of: batch)
    loss.backward()
    var rest = (nll.array() as [Double])[...]
    let rows = members.enumerated().flatMap { row, member in
      var values = [Double](repeating: 0, count: length)
      for slot in member.sequence.outputs { values[slot] = rest.removeFirst() / allTimes[row * length + slot] }
      return values
    }
    var everything = NetworkInput()
    everything.append(
      members.map {
        NetworkSequence(
          tokens: $0.sequence.tokens, positions: $0.sequence.positions, cleanCount: 0, masked: $0.sequence.masked,
          outputs: Array(0..<length))
      }, pattern: .blockDiffusion(size), maskToken: Int(mask))
    return gradients(of: model).merging([
      "loss": [loss.item], "nll": rows, "logits": withoutGradients { network.logits(everything) }.array(),
      "sampling_logits": samplingLogits(clean, network: CachedTransformer(network), size: size, mask: mask),
    ]) { $1 }
  }

  /// For each block in turn: all of it masked, then the first half clean; finished blocks are in the cache.
  private static func samplingLogits(
    _ clean: [[Int32]], network: CachedTransformer, size: Int, mask: Int32
  ) -> [Double] {
    clean.flatMap { tokens -> [Double] in
      let cache = network.makeCache()
      return stride(from: 0, to: tokens.count, by: size).flatMap { start in
        [0, size / 2].flatMap { written -> [Double] in
          // The first call of a block brings the block before it, now finished.
          let (from, end) = (cache.count, start + size)
          var feed = DecodingFeed()
          feed.append(
            tokens: tokens[from..<start + written] + Array(repeating: mask, count: size - written),
            positions: Array(from..<end), visible: (from..<end).map { $0 < start ? start : end },
            outputs: start - from..<end - from, keptCount: start - from)
          return network.logits(feed, caches: [cache]).array()
        }
      }
    }
  }
}
