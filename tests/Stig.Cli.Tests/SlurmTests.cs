using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using Stig.Model.Imaging;
using Stig.Tests;

namespace Stig.Cli.Tests;

/// <summary>The array job of deploy/slurm on a real Slurm of one node, which the test starts and ends.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class SlurmTests(Workspace workspace)
{
    private const int Images = 240;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(150);

    private readonly string folder = workspace.NewFolder();

    private string Out => Path.Combine(folder, "out");

    // The oracle is one undisturbed run without shards.
    [Fact]
    public void An_array_whose_task_is_killed_and_requeued_ends_with_the_files_of_one_run()
    {
        string[] missing = [.. new[] { "munged", "slurmctld", "slurmd", "sbatch", "scontrol" }.Where(name => Find(name) is null)];
        Assert.SkipWhen(missing.Length > 0, $"Slurm is not installed (Debian: slurm-wlm and munge); missing: {string.Join(", ", missing)}.");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can start Slurm's daemons here.");
        string input = Path.Combine(folder, "in"), whole = Path.Combine(folder, "whole");
        for (int i = 0; i < Images; i++)
        {
            ImageCodec.Save(Path.Combine(input, $"{i % 5}", $"{i:D5}.png"), SyntheticImages.GanLike(3, i, 64));
        }

        Assert.Equal(ExitCode.Success, CliRun.Of("refine", "--model", workspace.FilterModel, "--out", whole, "--quiet", input).Code);
        string program = Path.Combine(folder, "stig");
        File.WriteAllText(program, $"#!/bin/sh\nexec dotnet \"{Path.Combine(AppContext.BaseDirectory, "stig.dll")}\" \"$@\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        using var slurm = new OneNode(Path.Combine(folder, "slurm"));
        string submitted = slurm.Run("sbatch", "--parsable", "--array=1-3", $"--chdir={folder}", $"--export=ALL,STIG={program},STIG_OPTIONS=--batch 1",
            Repository.PathOf("deploy/slurm/refine.sbatch"), workspace.FilterModel, Out, input).Trim();

        // The first task gets the signal that comes before its time limit as soon as it has written something: it ends cleanly and is queued again.
        string firstNote = Path.Combine(Out, ".stig", "refine-0-of-3.holder"), firstManifest = Path.Combine(Out, "manifest-0-of-3.jsonl");
        slurm.Await(() => File.Exists(firstNote) && File.Exists(firstManifest) && new FileInfo(firstManifest).Length > 0, "the first task to begin");
        slurm.Run("scancel", "--batch", "--signal=USR1", $"{submitted}_1");

        // The program of the second task is killed as soon as it has written something; its process is named in the lock's note.
        string note = Path.Combine(Out, ".stig", "refine-1-of-3.holder"), manifest = Path.Combine(Out, "manifest-1-of-3.jsonl");
        slurm.Await(() => File.Exists(note) && File.Exists(manifest) && new FileInfo(manifest).Length > 0, "the second task to begin");
        int process = int.Parse(File.ReadAllText(note).Split(' ')[1], CultureInfo.InvariantCulture);
        using (Process running = Process.GetProcessById(process))
        {
            running.Kill();
        }

        slurm.Await(() => !slurm.Run("squeue", "--noheader", "--states=R,CG", $"--job={submitted}_2").Contains(submitted, StringComparison.Ordinal), "the task to end");
        int before = File.ReadLines(manifest).Count();
        slurm.Run("scontrol", "requeue", $"{submitted}_2");
        slurm.Await(() => slurm.Run("squeue", "--noheader").Trim().Length == 0, "all tasks to end");

        string log = File.ReadAllText(Path.Combine(folder, $"stig-refine-{submitted}-2.log"));
        CliRun merged = CliRun.Of("merge", "--out", Out, input);
        Assert.True(merged.Code == ExitCode.Success, $"{merged.Error} {merged.Output} {log}");
        Assert.InRange(before, 1, Images / 3 * 2);
        string firstLog = File.ReadAllText(Path.Combine(folder, $"stig-refine-{submitted}-1.log"));
        Assert.Matches(@"(?s)nterrupted.*Refined \d+ of", firstLog);
        Assert.Equal(Tree(whole), Tree(Out));
    }

    private static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Concat(["/usr/sbin", "/sbin"]).Select(place => Path.Combine(place, program)).FirstOrDefault(File.Exists);

    private static SortedDictionary<string, string> Tree(string root) => new(
        Directory.EnumerateFiles(root, "*.png", SearchOption.AllDirectories)
            .ToDictionary(path => Path.GetRelativePath(root, path), path => Convert.ToHexString(File.ReadAllBytes(path))), StringComparer.Ordinal);

    // Munge and Slurm with files of their own, on free ports; nothing of the machine's own configuration is used.
    private sealed class OneNode : IDisposable
    {
        private readonly string folder;

        public OneNode(string folder)
        {
            this.folder = folder;
            Directory.CreateDirectory(Path.Combine(folder, "state"));
            Directory.CreateDirectory(Path.Combine(folder, "spool"));
            string key = Path.Combine(folder, "munge.key"), host = Dns.GetHostName().Split('.')[0];
            byte[] secret = new byte[128];
            Random.Shared.NextBytes(secret);
            File.WriteAllBytes(key, secret);
            File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            int[] ports = FreePorts(2);

            // Credentials that last five seconds: a requeued task begins only when those of its first run are void.
            File.WriteAllLines(Path.Combine(folder, "slurm.conf"),
            [
                "ClusterName=stig", $"SlurmctldHost={host}(127.0.0.1)", "SlurmUser=root", $"SlurmctldPort={ports[0]}", $"SlurmdPort={ports[1]}",
                "AuthType=auth/munge", $"AuthInfo=socket={folder}/munge.socket,cred_expire=5", $"StateSaveLocation={folder}/state",
                $"SlurmdSpoolDir={folder}/spool", $"SlurmctldPidFile={folder}/slurmctld.pid", $"SlurmdPidFile={folder}/slurmd.pid",
                $"SlurmctldLogFile={folder}/slurmctld.log", $"SlurmdLogFile={folder}/slurmd.log", "ProctrackType=proctrack/linuxproc",
                "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none", "AccountingStorageType=accounting_storage/none",
                "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core", "MpiDefault=none", "ReturnToService=2",
                $"NodeName={host} NodeAddr=127.0.0.1 CPUs={Environment.ProcessorCount} State=UNKNOWN",
                $"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP",
            ]);
            Run("munged", "--force", $"--socket={folder}/munge.socket", $"--key-file={key}", $"--pid-file={folder}/munged.pid",
                $"--log-file={folder}/munged.log", $"--seed-file={folder}/munge.seed");
            Run("slurmctld", "-f", $"{folder}/slurm.conf");
            Run("slurmd", "-f", $"{folder}/slurm.conf");
            Await(() => Run("sinfo", "--noheader", "--format=%T").Trim() == "idle", "the node to be idle");
        }

        /// <summary>Runs one of Slurm's programs to its end and gives its output.</summary>
        public string Run(string program, params string[] arguments)
        {
            ProcessStartInfo info = new(Find(program)!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
            info.Environment["SLURM_CONF"] = Path.Combine(folder, "slurm.conf");
            using Process process = Process.Start(info)!;

            // Daemons keep the error stream open; only what ends by itself is waited for.
            string output = arguments is ["-f", ..] or ["--force", ..] ? "" : process.StandardOutput.ReadToEnd();
            Assert.True(process.WaitForExit(Patience), $"{program} does not end");
            return output;
        }

        public void Await(Func<bool> condition, string what)
        {
            Stopwatch clock = Stopwatch.StartNew();
            while (!condition())
            {
                Assert.True(clock.Elapsed < Patience, $"waited in vain for {what}; {Log("slurmctld.log")} {Log("slurmd.log")}");
                Thread.Sleep(50);
            }
        }

        public void Dispose()
        {
            Run("scontrol", "shutdown");
            string pid = Path.Combine(folder, "munged.pid");
            if (File.Exists(pid))
            {
                using Process munged = Process.GetProcessById(int.Parse(File.ReadAllText(pid), CultureInfo.InvariantCulture));
                munged.Kill();
            }

            Await(() => !File.Exists(Path.Combine(folder, "slurmctld.pid")) && !File.Exists(Path.Combine(folder, "slurmd.pid")), "the daemons to end");
        }

        private string Log(string name) =>
            File.Exists(Path.Combine(folder, name)) ? string.Join(' ', File.ReadLines(Path.Combine(folder, name)).TakeLast(5)) : "";

        private static int[] FreePorts(int count)
        {
            TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
            Array.ForEach(listeners, listener => listener.Start());
            int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
            Array.ForEach(listeners, listener => listener.Dispose());
            return ports;
        }
    }
}
