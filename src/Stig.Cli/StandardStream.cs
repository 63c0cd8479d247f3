using System.Text;

namespace Stig.Cli;

/// <summary>The streams that a process is started with.</summary>
internal static class StandardStream
{
    /// <summary>Number of the standard input.</summary>
    public const int Input = 0;

    /// <summary>Number of the standard output.</summary>
    public const int Output = 1;

    /// <summary>Number of the error stream.</summary>
    public const int Error = 2;

    private const int CloseOnExec = 0x80000;

    /// <summary>
    /// Whether the process was started with the stream. Where it was not (<c>&gt;&amp;-</c> in a shell), a file or pipe of the run-time's own
    /// has its number by now: reading it waits for ever, and writing to it does harm. Those close on exec, which nothing inherited can.
    /// Known on Linux only; elsewhere true.
    /// </summary>
    /// <param name="number">Its number.</param>
    public static bool IsOpen(int number)
    {
        const string folder = "/proc/self/fdinfo", key = "flags:";
        string path = $"{folder}/{number}";
        if (!Directory.Exists(folder))
        {
            return true;
        }

        string? flags = File.Exists(path) ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) : null;
        return flags is not null && (Convert.ToInt32(flags[key.Length..].Trim(), fromBase: 8) & CloseOnExec) == 0;
    }
}

/// <summary>Writes to a stream until that fails, as it does when a disk is full; from then on drops what is written and keeps the reason.</summary>
/// <param name="inner">The stream; null for one that is closed.</param>
internal sealed class LossyWriter(TextWriter? inner) : TextWriter
{
    /// <summary>Why something could not be written; null while all was.</summary>
    public string? Problem { get; private set; }

    /// <inheritdoc/>
    public override Encoding Encoding => inner?.Encoding ?? Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => Try(writer => writer.Write(value));

    /// <inheritdoc/>
    public override void Write(char[] buffer, int index, int count) => Try(writer => writer.Write(buffer, index, count));

    /// <inheritdoc/>
    public override void Write(string? value) => Try(writer => writer.Write(value));

    /// <inheritdoc/>
    public override void WriteLine(string? value) => Try(writer => writer.WriteLine(value));

    /// <inheritdoc/>
    public override void Flush() => Try(writer => writer.Flush());

    private void Try(Action<TextWriter> write)
    {
        if (Problem is not null)
        {
            return;
        }

        try
        {
            write(inner ?? throw new IOException("it is closed"));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Problem = error.Message.ReplaceLineEndings(" ").TrimEnd('.');
        }
    }
}
