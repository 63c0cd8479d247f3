using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Checkpoints;

/// <summary>What a checkpoint says of itself.</summary>
/// <param name="Architecture">How the model computes.</param>
/// <param name="Step">Training steps behind it; 0 for a filter, or for the start.</param>
/// <param name="Training">The options it was trained with; null when it was not trained here.</param>
/// <param name="SpectralDistance">
/// Log-frequency distance on the validation part at that step (unquantised); null when it was not measured.
/// </param>
/// <param name="Setup">What else decided the run; null when it was not trained here.</param>
public sealed record CheckpointInfo(
    ModelArchitecture Architecture, long Step, TrainingOptions? Training, double? SpectralDistance, RunSetup? Setup = null);

/// <summary>
/// Checkpoints: safetensors files with PyTorch's tensor names and order, and metadata (schema version, architecture, step,
/// options). A model file holds what refinement needs; a training file also holds discriminators, projection heads and Adam's
/// moments. The generator of the reference implementation is read as PyTorch has saved it (<c>latest_net_G.pth</c>).
/// </summary>
public static class Checkpoint
{
    /// <summary>Version of the metadata that this program writes and reads.</summary>
    public const int SchemaVersion = 1;

    private const string Format = "stig";
    private const string RunningVariance = ".running_var";
    private const string BatchCounter = ".num_batches_tracked";
    private const string FirstWeight = "conv0_0.conv1.weight";
    private const int ReferenceSize = 256;
    private const int MaxWidth = 1024;

    /// <summary>Reads what a checkpoint says of itself, without its tensors.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="CheckpointException">It is no checkpoint of this program, or of a later schema version, or damaged.</exception>
    public static CheckpointInfo ReadInfo(string path)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        return ReadInfo(file);
    }

    /// <summary>Writes a checkpoint of what is in a store. The file appears complete or not at all.</summary>
    /// <exception cref="CheckpointException">It cannot be written.</exception>
    /// <exception cref="TrainingDivergedException">A tensor holds a value that is not finite; no such checkpoint is written.</exception>
    internal static void Save(string path, CheckpointInfo info, TensorStore store)
    {
        List<StoredTensor> tensors = [];
        foreach ((string name, Shape shape) in store.Shapes)
        {
            tensors.Add(new StoredTensor(name, StoredType.F32, [.. shape.ToArray().Select(extent => (long)extent)]));
            if (IsRunningVariance(name))
            {
                tensors.Add(new StoredTensor(CounterOf(name), StoredType.I64));
            }
        }

        using var writer = new SafeTensorsWriter(path, Metadata(info), tensors);
        foreach ((string name, Shape shape) in store.Shapes)
        {
            float[] values = store.Read(name);
            int wrong = Array.FindIndex(values, value => !float.IsFinite(value));
            if (wrong >= 0)
            {
                throw new TrainingDivergedException(string.Create(CultureInfo.InvariantCulture,
                    $"Training stopped after step {info.Step}: {name} holds {values[wrong]}. {path} was not written."));
            }

            writer.Write(name, values);
            if (IsRunningVariance(name))
            {
                // PyTorch's count of the batches behind a running average; nothing here reads it.
                writer.Write(CounterOf(name), [info.Step]);
            }
        }

        writer.Commit();
    }

    /// <summary>Loads what refinement needs: the filter and the generator.</summary>
    internal static CheckpointInfo LoadModel(string path, TensorStore store)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        CheckpointInfo info = ReadInfo(file);
        foreach (ParameterSpec spec in ModelParameters(info.Architecture))
        {
            Load(file, IsTorch(file) ? TorchPrefix(file) + spec.Name[info.Architecture.Generator.Prefix.Length..] : spec.Name, spec, store);
        }

        return info;
    }

    /// <summary>Loads everything that a training run keeps: all networks and Adam's moments.</summary>
    internal static CheckpointInfo LoadTraining(string path, TensorStore store)
    {
        using SafeTensorsFile file = SafeTensorsFile.Open(path);
        CheckpointInfo info = ReadInfo(file);
        if (info.Training is not TrainingOptions options)
        {
            throw new CheckpointException(
                $"{path} holds no training options; it cannot be resumed. Resume from last.safetensors of a run.");
        }

        foreach ((string name, Shape shape) in TrainingTensors(options))
        {
            Load(file, name, new ParameterSpec(name, shape, Initializer.Zero), store);
        }

        return info;
    }

    /// <summary>The filter and the generator's tensors.</summary>
    internal static IEnumerable<ParameterSpec> ModelParameters(ModelArchitecture architecture)
    {
        IEnumerable<ParameterSpec> filter = architecture.HasFilter
            ? [new(Translator.FilterName, new Shape(3, architecture.Size, architecture.Size), Initializer.Zero, Trained: false)]
            : [];
        return architecture.HasNetwork ? filter.Concat(architecture.Generator.Parameters()) : filter;
    }

    /// <summary>Every tensor of a training run, in the order in which it is stored.</summary>
    internal static IEnumerable<(string Name, Shape Shape)> TrainingTensors(TrainingOptions options)
    {
        List<ParameterSpec> specs = [.. ModelParameters(options.Architecture)];
        if (options.Architecture.HasNetwork)
        {
            specs.AddRange(TrainingGraph.Parameters(options).Skip(options.Architecture.Generator.Parameters().Count()));
        }

        IEnumerable<(string, Shape)> tensors = specs.Select(spec => (spec.Name, spec.Shape));
        foreach (string prefix in (string[])[TrainingGraph.FirstMomentPrefix, TrainingGraph.SecondMomentPrefix])
        {
            tensors = tensors.Concat(specs.Where(spec => spec.Trained).Select(spec => (prefix + spec.Name, spec.Shape)));
        }

        return tensors;
    }

    private static bool IsRunningVariance(string name) => name.EndsWith(RunningVariance, StringComparison.Ordinal);

    private static string CounterOf(string runningVariance) => runningVariance[..^RunningVariance.Length] + BatchCounter;

    private static void Load(SafeTensorsFile file, string name, ParameterSpec spec, TensorStore store)
    {
        file.Find(name, [.. spec.Shape.ToArray().Select(extent => (long)extent)]);
        float[] values = new float[spec.Shape.Count];
        file.ReadFinite(name, values);
        store.Create(spec.Name, spec.Shape, values);
    }

    private static bool IsTorch(SafeTensorsFile file) =>
        file.Metadata.GetValueOrDefault(TorchFormat.MetadataKey) == TorchFormat.MetadataValue;

    // What stands before the names of the generator's tensors: nothing, or "module." where it was trained on several GPUs.
    private static string TorchPrefix(SafeTensorsFile file) =>
        file.Tensors.FirstOrDefault(tensor => tensor.Name.EndsWith(FirstWeight, StringComparison.Ordinal)) is StoredTensor first
            ? first.Name[..^FirstWeight.Length]
            : throw new CheckpointException($"{file.Path} has no tensor {FirstWeight}; it is not the generator of the reference implementation. "
                + "Take its checkpoint of the generator.");

    // The reference implementation's generator says nothing of itself: its width is that of its tensors, and it was trained at 256 pixels.
    private static CheckpointInfo TorchInfo(SafeTensorsFile file)
    {
        StoredTensor first = file.Find(TorchPrefix(file) + FirstWeight);
        return first.Shape is [>= 1 and <= MaxWidth, ..]
            ? new CheckpointInfo(new ModelArchitecture(Preset.Official, ReferenceSize, (int)first.Shape[0], NormalizationMode.Batch), 0, null, null)
            : throw new CheckpointException($"{file.Path}: tensor {FirstWeight} is {first}; a generator has 1 to {MaxWidth} channels there.");
    }

    private static Dictionary<string, string> Metadata(CheckpointInfo info)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = Format,
            ["schema_version"] = SchemaVersion.ToString(CultureInfo.InvariantCulture),
            ["program_version"] = ProgramVersion.Current,
            ["architecture"] = JsonSerializer.Serialize(info.Architecture, ModelJson.Default.ModelArchitecture),
            ["step"] = info.Step.ToString(CultureInfo.InvariantCulture),
        };
        if (info.Training is not null)
        {
            metadata["training"] = JsonSerializer.Serialize(info.Training, ModelJson.Default.TrainingOptions);
        }

        if (info.Setup is not null)
        {
            metadata["setup"] = JsonSerializer.Serialize(info.Setup, ModelJson.Default.RunSetup);
        }

        if (info.SpectralDistance is double distance)
        {
            metadata["spectral_distance"] = distance.ToString("R", CultureInfo.InvariantCulture);
        }

        return metadata;
    }

    private static CheckpointInfo ReadInfo(SafeTensorsFile file)
    {
        if (IsTorch(file))
        {
            return TorchInfo(file);
        }

        if (file.Metadata.GetValueOrDefault("format") != Format)
        {
            throw new CheckpointException(
                $"{file.Path} is a safetensors file but not a STIG checkpoint (its metadata lacks format = {Format}).");
        }

        string? schema = file.Metadata.GetValueOrDefault("schema_version");
        if (!int.TryParse(schema, NumberStyles.None, CultureInfo.InvariantCulture, out int version)
            || version != SchemaVersion)
        {
            throw new CheckpointException($"{file.Path} has schema version {file.Metadata.GetValueOrDefault("schema_version", "none")}, "
                + $"this program reads version {SchemaVersion}. Use the program that wrote it, or convert it.");
        }

        ModelArchitecture architecture = Parse(file, "architecture", ModelJson.Default.ModelArchitecture)
            ?? throw new CheckpointException($"{file.Path} does not say its architecture; it cannot be used.");
        TrainingOptions? training = Parse(file, "training", ModelJson.Default.TrainingOptions);
        RunSetup? setup = Parse(file, "setup", ModelJson.Default.RunSetup);
        if (!Enum.IsDefined(architecture.Preset) || !Enum.IsDefined(architecture.Normalization) || architecture.Size is < 1 or > 65536
            || architecture.Width is < 0 or > MaxWidth || architecture.HasNetwork != architecture.Width > 0
            || !double.IsFinite(architecture.ResidualGain) || (training is not null && training.Architecture != architecture)
            || (setup is not null && (!Enum.IsDefined(setup.Crop) || setup.Validation < 0 || setup.Interval < 1)))
        {
            throw new CheckpointException($"{file.Path} describes an impossible architecture or run: {architecture}; {setup}.");
        }

        return long.TryParse(file.Metadata.GetValueOrDefault("step"), NumberStyles.None, CultureInfo.InvariantCulture, out long step)
            ? new CheckpointInfo(architecture, step, training, Distance(file), setup)
            : throw new CheckpointException($"{file.Path} does not say its training step; it is damaged.");
    }

    private static double? Distance(SafeTensorsFile file) =>
        double.TryParse(file.Metadata.GetValueOrDefault("spectral_distance"), CultureInfo.InvariantCulture, out double distance)
            ? distance
            : null;

    private static T? Parse<T>(
        SafeTensorsFile file, string key, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        if (!file.Metadata.TryGetValue(key, out string? text))
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize(text, type);
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file.Path}: its metadata \"{key}\" cannot be understood ({e.Message})", e);
        }
    }
}

/// <summary>JSON of what is stored in checkpoints and run folders.</summary>
[JsonSourceGenerationOptions(WriteIndented = false, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ModelArchitecture))]
[JsonSerializable(typeof(TrainingOptions))]
[JsonSerializable(typeof(RunSetup))]
internal sealed partial class ModelJson : JsonSerializerContext;
