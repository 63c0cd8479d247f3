using System.Diagnostics;
using System.Globalization;

namespace Stig.Cli.Tests;

/// <summary>What a run of the program came to.</summary>
/// <param name="Code">Its exit code.</param>
/// <param name="Output">What it wrote to the output.</param>
/// <param name="Error">What it wrote to the error stream.</param>
internal sealed record CliRun(int Code, string Output, string Error)
{
    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Runs the program within this process.</summary>
    public static CliRun Of(params string[] arguments)
    {
        using StringWriter output = new(), error = new();
        int code = StigProgram.Run(arguments, new Terminal(output, error));
        return new CliRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs one of the programs beside this one as a process of its own.</summary>
    /// <param name="program">Its name, without .dll.</param>
    /// <param name="watch">Called with the process and each line of its output.</param>
    /// <param name="arguments">Its command line.</param>
    public static CliRun OfProcess(string program, Action<Process, string>? watch, params string[] arguments) =>
        OfProcess(program, watch, [], arguments);

    /// <summary>Runs one of the programs beside this one as a process of its own, with variables of its environment changed.</summary>
    /// <param name="program">Its name, without .dll.</param>
    /// <param name="watch">Called with the process and each line of its output.</param>
    /// <param name="environment">Variables to set, or to take away where the value is null.</param>
    /// <param name="arguments">Its command line.</param>
    /// <param name="meanwhile">Called with the process once it runs, for a program that writes little.</param>
    public static CliRun OfProcess(
        string program, Action<Process, string>? watch, Dictionary<string, string?> environment, string[] arguments, Action<Process>? meanwhile = null)
    {
        ProcessStartInfo start = new(
            Environment.ProcessPath is string path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [Path.Combine(AppContext.BaseDirectory, $"{program}.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string? value) in environment)
        {
            start.Environment.Remove(name);
            if (value is not null)
            {
                start.Environment[name] = value;
            }
        }

        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        meanwhile?.Invoke(process);
        List<string> lines = [];
        while (process.StandardOutput.ReadLine() is string line)
        {
            lines.Add(line);
            watch?.Invoke(process, line);
        }

        process.WaitForExit();
        return new CliRun(process.ExitCode, string.Join('\n', lines), error.Result);
    }

    /// <summary>
    /// What Ctrl-C does, to one of the programs. A shell's background job and all it starts ignore SIGINT; there SIGTERM, which the program
    /// takes for the same.
    /// </summary>
    /// <returns>The exit code of a program that is ended by it.</returns>
    public static int Interrupt(Process process)
    {
        const int interrupt = 2, terminate = 15, ended = 128;
        string ignored = File.ReadLines($"/proc/{process.Id}/status").First(line => line.StartsWith("SigIgn:", StringComparison.Ordinal));
        bool isIgnored = (ulong.Parse(ignored.AsSpan("SigIgn:".Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) >> (interrupt - 1) & 1) == 1;
        using Process kill = Process.Start("kill", [isIgnored ? "-TERM" : "-INT", $"{process.Id}"]);
        kill.WaitForExit();
        return ended + (isIgnored ? terminate : interrupt);
    }

    /// <summary>Asserts that the run ended with this code and exactly one line of error that holds all of the given parts.</summary>
    public void AssertFails(int code, params string[] parts)
    {
        Assert.True(Code == code, $"exit code {Code} instead of {code}; output: {Output}; error: {Error}");
        string line = Assert.Single(ErrorLines);
        Assert.StartsWith("stig: ", line, StringComparison.Ordinal);
        Assert.All(parts, part => Assert.Contains(part, line, StringComparison.Ordinal));
    }
}
