using System.Diagnostics;
using System.Globalization;
using Stig.Model.Checkpoints;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>
/// Trainings that are killed, interrupted or left without room, as processes of their own. The oracle is a run with the same options that
/// nothing happens to: what both leave is equal to the last byte.
/// </summary>
public sealed class DisturbedRunTests(Workspace workspace)
{
    private static readonly string[] Results = ["last.safetensors", "best.safetensors", "log.jsonl"];

    private readonly string folder = workspace.NewFolder();

    // A checkpoint at every step, so that many kills meet a run while it saves.
    [Fact]
    [Trait(Soak.Category, Soak.LongForm)]
    public void A_killed_run_goes_on_as_if_nothing_had_happened()
    {
        int kills = Soak.Scale(6, 400), seed = Environment.TickCount & 0xffff;
        var random = new Random(seed);
        string whole = Path.Combine(folder, "whole");
        Stopwatch clock = Stopwatch.StartNew();
        Assert.Equal(ExitCode.Success, Wait(Start(Training(whole, steps: 30))));
        TimeSpan duration = clock.Elapsed;

        int killed = 0, without = 0;
        for (int run = 0; killed < kills; run++)
        {
            string disturbed = Path.Combine(folder, $"killed {run}");
            string last = Path.Combine(disturbed, "last.safetensors");
            int code;
            do
            {
                using Process process = Start(Training(disturbed, steps: 30, File.Exists(last) ? ["--resume"] : []));
                if (killed >= kills || !WaitBriefly(process, random.NextDouble() * duration))
                {
                    code = Wait(process);
                }
                else
                {
                    killed++;
                    code = -1;
                    if (File.Exists(last))
                    {
                        SafeTensorsFile.Open(last).Dispose();
                    }
                    else
                    {
                        without++;
                    }
                }
            }
            while (code < 0);

            Assert.True(code == ExitCode.Success, $"run {run} ended with {code}; seed {seed}");
            AssertSame(whole, disturbed, $"run {run}, seed {seed}");
            Assert.Empty(Directory.GetFiles(disturbed, "*.tmp", SearchOption.AllDirectories));
            Directory.Delete(disturbed, recursive: true);
        }

        Soak.Report($"{killed} kills, {without} of them before the first checkpoint, within {duration.TotalSeconds:F1} s of the start, seed {seed}");
    }

    [Fact]
    public void A_second_interruption_ends_the_program_at_once()
    {
        // A step of this size takes long enough to be caught within it.
        string run = Path.Combine(folder, "run");
        using Process process = Start(Training(run, steps: 1000, "--size", "256", "--width", "32"));
        while (!File.Exists(Path.Combine(run, "last.safetensors")))
        {
            Assert.False(process.WaitForExit(TimeSpan.FromMilliseconds(20)), "the run ended by itself");
        }

        CliRun.Interrupt(process);
        string? line = process.StandardError.ReadLine();
        int ended = CliRun.Interrupt(process);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();

        Assert.Contains("once more to stop at once", line, StringComparison.Ordinal);
        Assert.Equal(ended, process.ExitCode);
        Assert.DoesNotContain("Trained to step", output, StringComparison.Ordinal);
        SafeTensorsFile.Open(Path.Combine(run, "last.safetensors")).Dispose();
    }

    [Fact]
    public void A_second_run_into_a_folder_in_use_names_the_first()
    {
        string run = Path.Combine(folder, "run");
        using Process process = Start(Training(run, steps: 100_000));
        try
        {
            while (!File.Exists(Path.Combine(run, "last.safetensors")))
            {
                Assert.False(process.WaitForExit(TimeSpan.FromMilliseconds(20)), "the run ended by itself");
            }

            CliRun.Of(Training(run, steps: 5)).AssertFails(ExitCode.Output, "in use", $"process {process.Id} on {Environment.MachineName}");
        }
        finally
        {
            process.Kill();
        }
    }

    // No file may pass a size below that of a checkpoint. The signal that comes with it is ignored, as a full disk has none.
    [Fact]
    public void A_checkpoint_that_finds_no_room_leaves_the_previous_one()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "limits the size of files by a POSIX shell");
        string run = Path.Combine(folder, "run");
        Assert.Equal(ExitCode.Success, Wait(Start(Training(run, steps: 2))));
        Dictionary<string, byte[]> before = Checkpoints(run);
        long blocks = before.Values.Max(bytes => bytes.LongLength) / 2 / 512;

        using Process process = Start(Training(run, steps: 4, "--resume"),
            "sh", "-c", string.Create(CultureInfo.InvariantCulture, $"trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
        string error = process.StandardError.ReadToEnd();
        Assert.Equal((ExitCode.Output, error), (Wait(process), error));

        AssertNoRoom(error);
        AssertCheckpoints(before, run);
    }

    // As above; here the log is the first file to come to the limit, long as it is by a line of step 0, and the next step's line is cut.
    [Fact]
    public void A_log_that_finds_no_room_is_named_and_the_run_goes_on_with_more_room()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "limits the size of files by a POSIX shell");
        string whole = Path.Combine(folder, "whole"), run = Path.Combine(folder, "run"), log = Path.Combine(run, "log.jsonl");
        foreach (string each in (string[])[whole, run])
        {
            Assert.Equal(ExitCode.Success, Wait(Start(Training(each, steps: 2))));
        }

        string lines = File.ReadAllText(log);
        long blocks = (Checkpoints(run).Values.Max(bytes => bytes.LongLength) / 512) + 2;
        string padding = "{\"step\":0,\"padding\":\"" + new string(' ', (int)((512 * blocks) - lines.Length - 100)) + "\"}\n";
        File.WriteAllText(log, padding + lines);
        Dictionary<string, byte[]> before = Checkpoints(run);

        using Process process = Start(Training(run, steps: 4, "--resume"),
            "sh", "-c", string.Create(CultureInfo.InvariantCulture, $"trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
        string error = process.StandardError.ReadToEnd();
        Assert.Equal((ExitCode.Output, error), (Wait(process), error));

        AssertNoRoom(error);
        Assert.Contains(log, error, StringComparison.Ordinal);
        AssertCheckpoints(before, run);
        Assert.Equal(ExitCode.Success, Wait(Start(Training(whole, steps: 4, "--resume"))));
        Assert.Equal(ExitCode.Success, Wait(Start(Training(run, steps: 4, "--resume"))));
        File.WriteAllText(log, File.ReadAllText(log).Replace(padding, "", StringComparison.Ordinal));
        AssertSame(whole, run, "with more room");
    }

    [Fact]
    public void A_full_disk_leaves_the_previous_checkpoint_and_the_run_goes_on_with_more_room()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "only root can mount a small file system");
        string whole = Path.Combine(folder, "whole"), disk = Directory.CreateDirectory(Path.Combine(folder, "disk")).FullName;
        Assert.Equal(ExitCode.Success, Wait(Start(Training(whole, steps: 2))));
        Assert.Equal(ExitCode.Success, Wait(Start(Training(whole, steps: 4, "--resume"))));
        long checkpoint = new FileInfo(Path.Combine(whole, "last.safetensors")).Length;

        // Room for the best and the last checkpoint and a third while one is replaced, until something else takes the third's.
        Assert.SkipUnless(Shell($"mount -t tmpfs -o size={4 * checkpoint} tmpfs '{disk}'") == 0, "this system does not let root mount a tmpfs");
        try
        {
            string run = Path.Combine(disk, "run");
            Assert.Equal(ExitCode.Success, Wait(Start(Training(run, steps: 2))));
            Dictionary<string, byte[]> before = Checkpoints(run);
            string other = Path.Combine(disk, "other");
            File.WriteAllBytes(other, new byte[checkpoint * 3 / 2]);

            using (Process process = Start(Training(run, steps: 4, "--resume")))
            {
                string error = process.StandardError.ReadToEnd();
                Assert.Equal(ExitCode.Output, Wait(process));
                AssertNoRoom(error);
            }

            AssertCheckpoints(before, run);
            File.Delete(other);
            Assert.Equal(ExitCode.Success, Wait(Start(Training(run, steps: 4, "--resume"))));
            AssertSame(whole, run, "with more room");
        }
        finally
        {
            Assert.Equal(0, Shell($"umount '{disk}'"));
        }
    }

    private static void AssertNoRoom(string error)
    {
        string line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("stig: ", line, StringComparison.Ordinal);
        Assert.Contains("cannot be written", line, StringComparison.Ordinal);
    }

    private static Dictionary<string, byte[]> Checkpoints(string run) =>
        Directory.GetFiles(run, "*.safetensors").ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes);

    private static void AssertCheckpoints(Dictionary<string, byte[]> before, string run)
    {
        Assert.Equal(before.Keys.Order(), Directory.GetFiles(run, "*.safetensors*").Select(Path.GetFileName).Order());
        Assert.All(before, file => Assert.Equal(file.Value, File.ReadAllBytes(Path.Combine(run, file.Key))));
    }

    private static void AssertSame(string whole, string other, string which)
    {
        foreach (string name in Results)
        {
            Assert.True(File.ReadAllBytes(Path.Combine(whole, name)).SequenceEqual(File.ReadAllBytes(Path.Combine(other, name))),
                $"{name} of {which} is not that of an undisturbed run");
        }
    }

    private string[] Training(string run, int steps, params string[] more) =>
    [
        "train", "--real", workspace.Real, "--fake", workspace.Fake, "--out", run, "--steps", $"{steps}", "--interval", "1", "--validate", "1",
        "--threads", "1", .. more.Length > 0 ? more : ["--size", "32", "--width", "4"],
    ];

    // The program as a process of its own, behind a command that starts it.
    private static Process Start(string[] arguments, params string[] before)
    {
        string host = Environment.ProcessPath is string path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
        string[] command = [.. before, host, Path.Combine(AppContext.BaseDirectory, "stig.dll"), .. arguments];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };

        // The run-time's memory for code is a file to the limit on files.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        return Process.Start(start)!;
    }

    private static int Wait(Process process)
    {
        process.WaitForExit();
        return process.ExitCode;
    }

    // Kills the process after that time; false where it has ended by then.
    private static bool WaitBriefly(Process process, TimeSpan time)
    {
        if (process.WaitForExit(time))
        {
            return false;
        }

        process.Kill();
        process.WaitForExit();
        return process.ExitCode != ExitCode.Success;
    }

    private static int Shell(string command) => Wait(Process.Start("sh", ["-c", $"{command} 2>/dev/null"]));
}
