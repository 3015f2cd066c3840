import EsoLM
import Prompts
import Runs

/// The README's example of the library, line for line, with the run's folder as an argument.
func libraryExample(_ folder: String) throws {
  let run = try RunFolder(opening: folder)
  let network = CachedTransformer(try run.network())
  let template = try PromptTemplate("The [[5]] sat on [[12]].").tokens(run.tokenizer)
  let sampler = Sampler(network)
  for number in 0..<4 {
    let request = GenerationRequest(template: template, picker: try TokenPicker(topP: 0.9), seed: 7, number: number)
    sampler.add(try run.method.generation(request, for: network.configuration))
  }
  while !sampler.isEmpty {
    for step in try sampler.advance() {
      print("call \(step.index + 1) wrote positions \(step.written.positions)")
      if let text = step.finished { print(run.tokenizer.decode(text.tokens), text.logProbability) }
    }
  }
}
