using Stig.Cli;

return StigProgram.Run(args, Terminal.OfProcess());
