using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Model.Checkpoints;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Cli.Commands;

/// <summary><c>stig info</c>: what a checkpoint holds.</summary>
internal static class InfoCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> path = new("FILE") { Description = "Checkpoint, for example run/best.safetensors, or latest_net_G.pth of the reference implementation." };
        Option<bool> json = CommonOptions.Json();
        StigCommand command = new("info", "Show what a model file holds: architecture, step, training options, tensors.",
            "stig info run/best.safetensors", "stig info run/best.safetensors --json")
        {
            path, json,
        };
        command.SetAction(parsed =>
        {
            ModelReport report = Read(parsed.GetRequiredValue(path));
            if (parsed.GetValue(json))
            {
                terminal.Line(JsonSerializer.Serialize(report, InfoJson.Default.ModelReport));
            }
            else
            {
                Write(terminal, report);
            }
        });
        return command;
    }

    private static ModelReport Read(string path)
    {
        CheckpointInfo info = Checkpoint.ReadInfo(path);
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        // Files keep the widest type first, PyTorch's batch counters; the weights, in the order of the network, tell more.
        List<TensorReport> tensors =
            [.. file.Tensors.OrderBy(tensor => tensor.Type == StoredType.I64)
                .Select(tensor => new TensorReport(tensor.Name, tensor.Type.ToString(), tensor.Shape, tensor.Count))];
        return new ModelReport(
            path,
            new FileInfo(path).Length,
            file.Metadata.ContainsKey("schema_version") ? Checkpoint.SchemaVersion : null,
            file.Metadata.GetValueOrDefault("program_version"),
            info.Architecture,
            info.Step,
            info.SpectralDistance,
            info.Training,
            info.Setup,
            tensors.Sum(tensor => tensor.Elements),
            tensors);
    }

    private static void Write(Terminal terminal, ModelReport report)
    {
        ModelArchitecture architecture = report.Architecture;
        List<(string Name, string Value)> facts =
        [
            ("file", string.Create(CultureInfo.InvariantCulture, $"{report.File}, {report.Bytes:N0} bytes")),
            ("schema version", report.SchemaVersion?.ToString(CultureInfo.InvariantCulture) ?? "none"),
            ("written by", report.ProgramVersion is null ? "PyTorch" : $"stig {report.ProgramVersion}"),
            ("preset", architecture.Preset.ToString().ToLowerInvariant()),
            ("size", $"{architecture.Size} x {architecture.Size} pixels"),
        ];
        if (architecture.HasNetwork)
        {
            facts.Add(("network", string.Create(CultureInfo.InvariantCulture,
                $"width {architecture.Width}, {architecture.Normalization} normalisation, residual gain {architecture.ResidualGain}")));
        }

        facts.Add(("step", report.Step.ToString(CultureInfo.InvariantCulture)));
        facts.Add(("spectral distance", report.SpectralDistance?.ToString("F4", CultureInfo.InvariantCulture) ?? "not measured"));
        facts.Add(("training", report.Training is null ? "not stored" : TrainingText(report.Training)));
        if (report.Setup is RunSetup setup)
        {
            facts.Add(("images", string.Create(CultureInfo.InvariantCulture,
                $"{setup.RealImages} real, {setup.FakeImages} fake, {setup.Validation} of each held out, crop {setup.Crop.ToString().ToLowerInvariant()}")));
            facts.Add(("computed on", setup.ComputedOn));
        }

        facts.Add(("tensors",
            string.Create(CultureInfo.InvariantCulture, $"{report.Tensors.Count}, {report.Parameters:N0} values in all")));
        foreach ((string name, string value) in facts)
        {
            terminal.Line($"{name,-18} {value}");
        }

        int longest = report.Tensors.Select(tensor => tensor.Name.Length).DefaultIfEmpty().Max();
        foreach (TensorReport tensor in report.Tensors)
        {
            terminal.Line($"  {tensor.Name.PadRight(longest)}  {tensor.Type} [{string.Join(", ", tensor.Shape)}]");
        }
    }

    private static string TrainingText(TrainingOptions training)
    {
        if (!training.Architecture.HasNetwork)
        {
            return string.Create(CultureInfo.InvariantCulture, $"filter in closed form, seed {training.Seed}");
        }

        LossWeights losses = training.Losses;
        return string.Create(CultureInfo.InvariantCulture,
            $"{training.Steps} {(training.Steps == 1 ? "step" : "steps")}, "
            + $"{training.Batch} {(training.Batch == 1 ? "pair" : "pairs")} of images each, "
            + $"learning rate {training.LearningRate}, seed {training.Seed}, weights: adversarial {losses.Adversarial}, "
            + $"profile {losses.Profile}, contrastive {losses.Contrastive}, identity {losses.Identity}, "
            + $"similarity {losses.Similarity}, low frequency {losses.LowFrequency}");
    }
}

/// <summary>What <c>stig info --json</c> writes.</summary>
internal sealed record ModelReport(
    string File,
    long Bytes,
    int? SchemaVersion,
    string? ProgramVersion,
    ModelArchitecture Architecture,
    long Step,
    double? SpectralDistance,
    TrainingOptions? Training,
    RunSetup? Setup,
    long Parameters,
    IReadOnlyList<TensorReport> Tensors);

/// <summary>A tensor of a checkpoint.</summary>
internal sealed record TensorReport(string Name, string Type, IReadOnlyList<long> Shape, long Elements);

[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true)]
[JsonSerializable(typeof(ModelReport))]
internal sealed partial class InfoJson : JsonSerializerContext;
