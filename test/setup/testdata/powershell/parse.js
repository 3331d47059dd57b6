// Reads a script of PowerShell, and prints the lines that are none, and the commands with their
// parameters, as JSON.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Language, Parser } from 'web-tree-sitter'

await Parser.init()
const grammar = fileURLToPath(import.meta.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm'))
const parser = new Parser()
parser.setLanguage(await Language.load(grammar))
const tree = parser.parse(readFileSync(0, 'utf8'))
const faults = []
const commands = []

// parameters returns those of a command, without those of the commands in its arguments.
function parameters (node) {
  if (node.type === 'command_parameter') return [node.text]
  return node.children.filter(child => child.type !== 'command').flatMap(parameters)
}

function walk (node) {
  if (node.isError || node.isMissing) faults.push(`line ${node.startPosition.row + 1}: ${node.text}`)
  if (node.type === 'command') {
    const name = node.children.find(child => child.type === 'command_name')
    if (name) commands.push({ name: name.text, parameters: parameters(node) })
  }
  node.children.forEach(walk)
}
walk(tree.rootNode)
console.log(JSON.stringify({ faults, commands })) // the reader ends this process: the runtime of WebAssembly keeps it alive
