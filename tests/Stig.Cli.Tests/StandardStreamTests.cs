using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Stig.Model.Imaging;

namespace Stig.Cli.Tests;

/// <summary>Standard input that stays silent, and streams that are closed or full, of processes of their own behind a shell.</summary>
public sealed partial class StandardStreamTests(Workspace workspace)
{
    private readonly string folder = workspace.NewFolder();

    private string Out => Path.Combine(folder, "out");

    // Once the pipe is empty again, the program has read the empty line and waits for the first name.
    [Theory]
    [InlineData]
    [InlineData("--dry-run")]
    public void An_interruption_ends_the_wait_for_the_first_name(params string[] options)
    {
        using Process process = Start("", ["refine", "--model", workspace.FilterModel, "--out", Out, .. options, "-"]);
        process.StandardInput.Write('\n');
        process.StandardInput.Flush();
        Assert.True(SpinWait.SpinUntil(() => process.HasExited || BytesIn(process.StandardInput) == 0, TimeSpan.FromSeconds(60)));

        CliRun.Interrupt(process);

        (int code, _, string error) = End(process);
        Assert.Equal(ExitCode.Interrupted, code);
        Assert.Contains("Interrupted", error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Out));
    }

    [Theory]
    [InlineData("refine", "--model", "MODEL")]
    [InlineData("merge")]
    public void Standard_input_that_is_closed_has_no_images(params string[] command)
    {
        string[] arguments = [.. command.Select(word => word == "MODEL" ? workspace.FilterModel : word), "--out", Out, "-"];
        End(Start("<&-", arguments)).AssertFails(ExitCode.Data, "No images", "standard input", "closed");
    }

    [Theory]
    [InlineData(">&-", "it is closed")]
    [InlineData(">/dev/full", "No space left on device")]
    [InlineData(">/dev/full", "No space left on device", "--progress", "json")]
    public void Standard_output_that_cannot_be_written_is_named_and_costs_no_image(string redirection, string reason, params string[] options)
    {
        WriteInputs(3);
        string[] arguments = ["refine", "--model", workspace.FilterModel, "--out", Out, .. options, folder];

        End(Start(redirection, arguments))
            .AssertFails(ExitCode.Output, "Standard output cannot be written", reason, $"Refined 3 of 3 images into {Out}");

        Assert.Equal(3, Directory.GetFiles(Out, "*.png").Length);
        End(Start(redirection, arguments)).AssertFails(ExitCode.Output, "Standard output", reason, "3 were there already");
        Assert.Equal(new CliRun(ExitCode.NothingToDo, "", ""), End(Start(redirection, ["refine", .. arguments[1..], "--quiet"])));
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("doctor")]
    [InlineData("info", "MODEL")]
    public void Results_that_cannot_be_shown_are_a_failure(params string[] command) =>
        End(Start(">/dev/full", [.. command.Select(word => word == "MODEL" ? workspace.FilterModel : word)]))
            .AssertFails(ExitCode.Output, "Standard output cannot be written: No space left on device");

    // What cannot be told changes nothing: the failed image costs only itself.
    [Theory]
    [InlineData("2>&-")]
    [InlineData("2>/dev/full")]
    public void An_error_stream_that_cannot_be_written_costs_nothing(string redirection)
    {
        WriteInputs(3);
        File.WriteAllText(Path.Combine(folder, "bad.png"), "text");

        CliRun run = End(Start(redirection, "refine", "--model", workspace.FilterModel, "--out", Out, "--progress", "json", folder));

        Assert.Equal(ExitCode.SomeFailed, run.Code);
        Assert.Equal(3, JsonDocument.Parse(run.Output.Split('\n')[^2]).RootElement.GetProperty("refined").GetInt32());
    }

    // Those that nobody has read yet.
    private static int BytesIn(StreamWriter input)
    {
        const nuint unread = 0x541B;
        Assert.Equal(0, Control(((PipeStream)input.BaseStream).SafePipeHandle, unread, out int bytes));
        return bytes;
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Control(SafePipeHandle file, nuint request, out int value);

    private void WriteInputs(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ImageCodec.Save(Path.Combine(folder, $"{i}.png"), SyntheticImages.GanLike(3, i, Workspace.Size));
        }
    }

    private static Process Start(string redirection, params string[] arguments)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs a POSIX shell, /dev/full and /proc");
        string host = Environment.ProcessPath is string path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        return Process.Start(new ProcessStartInfo(
            "/bin/sh", ["-c", $"exec \"$0\" \"$@\" {redirection}", host, Path.Combine(AppContext.BaseDirectory, "stig.dll"), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
    }

    // Standard input stays open until the end.
    private static CliRun End(Process process)
    {
        using (process)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
            if (!process.WaitForExit(TimeSpan.FromSeconds(60)))
            {
                process.Kill();
                Assert.Fail("The program did not end.");
            }

            return new CliRun(process.ExitCode, output.Result, error.Result);
        }
    }
}
