--- espquant completion: what a shell needs to complete espquant's commands and options.

local M = { name = "completion", summary = "print a completion script for bash, zsh or fish" }

M.examples = {
  "espquant completion bash > /etc/bash_completion.d/espquant",
  "espquant completion fish > ~/.config/fish/completions/espquant.fish",
}

function M.configure(parser)
  parser:argument("shell", "Which one."):choices { "bash", "zsh", "fish" }
end

function M.run(args, streams)
  local parser = require "espquant.command_parser".full()
  streams.stdout:write(parser["get_" .. args.shell .. "_complete"](parser))
  return true
end

return M
