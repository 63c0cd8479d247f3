namespace Stig.Cli;

/// <summary>The program's exit codes, as <c>stig --help</c> and docs/cli.md list them.</summary>
public static class ExitCode
{
    /// <summary>All went well.</summary>
    public const int Success = 0;

    /// <summary>The run went through, but some images could not be used.</summary>
    public const int SomeFailed = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>There are no images, or none that can be used, or a folder cannot be read, or two inputs have one output.</summary>
    public const int Data = 3;

    /// <summary>A model or checkpoint cannot be used.</summary>
    public const int Model = 4;

    /// <summary>A device or a library that computing needs cannot be used.</summary>
    public const int Device = 5;

    /// <summary>Results cannot be written, those on standard output among them.</summary>
    public const int Output = 6;

    /// <summary>Training stopped because a loss was not a finite number.</summary>
    public const int Diverged = 7;

    /// <summary>There was nothing to do: every output was there already, or no image belongs to the shard.</summary>
    public const int NothingToDo = 8;

    /// <summary>A defect of the program.</summary>
    public const int Internal = 70;

    /// <summary>Interrupted by Ctrl-C or a request to terminate. A second request ends the program as the system does, with 143.</summary>
    public const int Interrupted = 130;

    /// <summary>Every code with its meaning, in order.</summary>
    public static IReadOnlyList<(int Code, string Meaning)> All { get; } =
    [
        (Success, "success"),
        (SomeFailed, "some images, or self-test cases, failed; the others are done"),
        (Usage, "wrong command line"),
        (Data, "no images, or none that can be used; unreadable folder or list; two inputs with one output"),
        (Model, "model or checkpoint cannot be used"),
        (Device, "device or native library cannot be used; out of memory"),
        (Output, "results, or standard output, cannot be written"),
        (Diverged, "training stopped by numbers that are not finite"),
        (NothingToDo, "nothing to do: every output was there already, or no image belongs to the shard"),
        (Internal, "internal error"),
        (Interrupted, "interrupted (143: ended at once by a second SIGTERM)"),
    ];
}
