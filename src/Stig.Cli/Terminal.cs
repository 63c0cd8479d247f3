using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace Stig.Cli;

/// <summary>
/// Where the program writes. Results and progress go to the output, warnings and errors to the error stream. On a terminal progress is a
/// bar; elsewhere it is a plain line every few seconds. A stream that cannot be written costs no work: what should go there is dropped.
/// </summary>
public sealed class Terminal
{
    private static readonly TimeSpan PlainInterval = TimeSpan.FromSeconds(5);

    private readonly TextWriter output;
    private readonly TextWriter error;
    private readonly LossyWriter guard;
    private readonly bool interactive;
    private readonly bool errorsOnly;
    private readonly Lock gate = new();
    private IAnsiConsole? live;

    /// <summary>Writes to the given streams, plainly.</summary>
    public Terminal(TextWriter output, TextWriter error)
        : this(new LossyWriter(output), new LossyWriter(error), interactive: false, errorsOnly: false)
    {
    }

    private Terminal(LossyWriter output, LossyWriter error, bool interactive, bool errorsOnly)
    {
        guard = output;
        this.output = TextWriter.Synchronized(output);
        this.error = TextWriter.Synchronized(error);
        (this.interactive, this.errorsOnly) = (interactive, errorsOnly);
    }

    /// <summary>The results' stream.</summary>
    public TextWriter Output => output;

    /// <summary>Why something could not be written to <see cref="Output"/>; null while all was.</summary>
    public string? OutputProblem => guard.Problem;

    /// <summary>What has been done, for a user who could not be told on the output.</summary>
    public string? Done { get; set; }

    /// <summary>The streams of the process, with a progress bar if the output is a terminal.</summary>
    public static Terminal OfProcess()
    {
        bool hasOutput = StandardStream.IsOpen(StandardStream.Output);
        return new Terminal(
            new LossyWriter(hasOutput ? Console.Out : null),
            new LossyWriter(StandardStream.IsOpen(StandardStream.Error) ? Console.Error : null),
            hasOutput && !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb"),
            errorsOnly: false);
    }

    /// <summary>The same for a user who wants to see errors only.</summary>
    public Terminal Quiet() => new(new LossyWriter(TextWriter.Null), new LossyWriter(error), interactive: false, errorsOnly: true);

    /// <summary>Writes a line of results.</summary>
    public void Line(string text = "") => output.WriteLine(text);

    /// <summary>Writes a warning.</summary>
    public void Warn(string text)
    {
        if (!errorsOnly)
        {
            Complain($"stig: warning: {text}");
        }
    }

    /// <summary>Writes an error.</summary>
    public void Error(string text) => Complain($"stig: {text}");

    /// <summary>Shows a table: on a terminal as wide as need be, elsewhere as plain text.</summary>
    public void Show(Table table)
    {
        IAnsiConsole console = CreateConsole();
        console.Profile.Width = Math.Max(console.Profile.Width, 120);
        console.Write(table);
    }

    /// <summary>Does something long while showing how far it is.</summary>
    /// <param name="title">What is being done.</param>
    /// <param name="body">Does it, and reports progress.</param>
    public T WithProgress<T>(string title, Func<IProgressReport, T> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (!interactive)
        {
            using var plain = new PlainReport(this, title);
            return body(plain);
        }

        IAnsiConsole console = CreateConsole();
        try
        {
            return console.Progress().HideCompleted(false)
                .Columns(
                    new TaskDescriptionColumn { Alignment = Justify.Left },
                    new ProgressBarColumn(),
                    new PercentageColumn(),
                    new RemainingTimeColumn())
                .Start(context =>
                {
                    lock (gate)
                    {
                        live = console;
                    }

                    return body(new BarReport(context.AddTask(Markup.Escape(title), maxValue: 1), title));
                });
        }
        finally
        {
            lock (gate)
            {
                live = null;
            }
        }
    }

    private IAnsiConsole CreateConsole() => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = interactive ? AnsiSupport.Detect : AnsiSupport.No,
        ColorSystem = interactive ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
        Interactive = interactive ? InteractionSupport.Detect : InteractionSupport.No,
        Out = new AnsiConsoleOutput(interactive ? Console.Out : output),
    });

    // A line that comes while the bar is shown on the same screen has to go through the bar's console, which writes it above.
    private void Complain(string line)
    {
        lock (gate)
        {
            if (live is not null && !Console.IsErrorRedirected)
            {
                live.WriteLine(line);
            }
            else
            {
                error.WriteLine(line);
            }
        }
    }

    private sealed class BarReport(ProgressTask task, string title) : IProgressReport
    {
        public void Report(double fraction, string status)
        {
            task.Value = fraction;
            task.Description = Markup.Escape(status.Length > 0 ? $"{title}  {status}" : title);
        }
    }

    // The first report is shown at once, so that a reader sees what has begun, and the last one so that the end is seen.
    private sealed class PlainReport(Terminal terminal, string title) : IProgressReport, IDisposable
    {
        private readonly Lock gate = new();
        private readonly Stopwatch clock = Stopwatch.StartNew();
        private TimeSpan? shown;
        private string? waiting;

        public void Report(double fraction, string status)
        {
            lock (gate)
            {
                TimeSpan now = clock.Elapsed;
                string left = fraction is > 0.01 and < 1 ? $", {Duration.Text(now / fraction * (1 - fraction))} left" : "";
                waiting = string.Create(CultureInfo.InvariantCulture, $"{title}: {100 * fraction,3:F0} %  {status}{left}");
                if (shown is null || now - shown >= PlainInterval)
                {
                    Write(now);
                }
            }
        }

        public void Dispose()
        {
            if (waiting is not null)
            {
                Write(clock.Elapsed);
            }
        }

        private void Write(TimeSpan now)
        {
            terminal.Line(waiting!);
            (waiting, shown) = (null, now);
        }
    }
}

/// <summary>Receives how far something is.</summary>
public interface IProgressReport
{
    /// <summary>Says how far it is.</summary>
    /// <param name="fraction">From 0 to 1.</param>
    /// <param name="status">A few words, for example the step and the loss; may be empty.</param>
    void Report(double fraction, string status);
}

/// <summary>Spans of time as people write them.</summary>
internal static class Duration
{
    /// <summary>For example 12 s, 3 min 05 s, 2 h 10 min.</summary>
    public static string Text(TimeSpan time) => time.TotalSeconds switch
    {
        < 59.5 => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:F0} s"),
        < 3600 => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalMinutes} min {time.Seconds:D2} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes:D2} min"),
    };
}
