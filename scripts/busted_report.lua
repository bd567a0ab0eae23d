--- A busted output handler for scripts/test: one line per spec file, failures in full at the end, and the
--- counts "PASSED FAILED SKIPPED" in the file named by its argument (-Xoutput FILE).
---
--- An error outside of a test (a spec file that does not load, a failing setup) counts as a failure.

local pretty = require "pl.pretty"

local function message_text(entry)
  local message = entry.message
  if type(message) == "string" then return message end
  return message == nil and "(no message)" or pretty.write(message)
end

local function print_entry(kind, entry)
  local trace = entry.element.trace or {}
  print(("\n%s: %s:%s: %s"):format(kind, trace.short_src or "?", trace.currentline or "?", entry.name))
  print(message_text(entry))
  if kind == "error" and entry.trace and entry.trace.traceback then print(entry.trace.traceback) end
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local counts_path = options.arguments and options.arguments[1]
  local file = {}

  local function failed()
    return #handler.failures + #handler.errors
  end

  local function write_counts()
    if not counts_path then return end
    local out = assert(io.open(counts_path, "w"))
    out:write(("%d %d %d\n"):format(handler.successesCount, failed(), handler.pendingsCount))
    out:close()
  end

  local function file_start(element)
    file = { passed = handler.successesCount, failed = failed(), name = element.name, start = os.time() }
    return nil, true
  end

  local function file_end()
    local passed, bad = handler.successesCount - file.passed, failed() - file.failed
    if passed + bad > 0 then
      print(("  %-6s %-40s %4d cases %4d s"):format(bad == 0 and "ok" or "FAILED", file.name, passed + bad,
                                                   os.time() - file.start))
      io.flush()
    end
    return nil, true
  end

  -- Skipped is said loudly: a case that never runs proves nothing.
  local function suite_end()
    for _, entry in ipairs(handler.pendings) do print_entry("SKIPPED", entry) end
    for _, entry in ipairs(handler.failures) do print_entry("failure", entry) end
    for _, entry in ipairs(handler.errors) do print_entry("error", entry) end
    write_counts()
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
