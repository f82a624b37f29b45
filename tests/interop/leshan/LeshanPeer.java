/*
 * A LwM2M device built upon the Eclipse Leshan client library, steered by lines on standard input.
 *
 * The library is the peer under test: registration engine, object tree, codecs, CoAP (Californium) and
 * notification logic are Leshan's; this file only chooses objects and prints what happens, one line a fact:
 *
 *   EVENT registered <location> | updated | deregistered | register-failed <code> | ...
 *   EVENT write <path> <value> | execute <path> <arguments> | created <object> <instance> | deleted ...
 *   OK <command> | ERR <reason>          the answer to a command line
 *
 * Commands: set <path> <value>, send <format> <path>..., update, create <object> <instance>,
 * delete <object> <instance>, stop (de-register and leave), kill (leave at once).
 *
 * Options: --url --endpoint --lifetime --models DIR --formats 110,112,11542 --default FORMAT --queue
 */
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.LwM2mTestObject;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mObjectEnabler;
import org.eclipse.leshan.client.resource.ObjectEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.resource.listener.ObjectsListenerAdapter;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mDecoder;
import org.eclipse.leshan.core.node.codec.DefaultLwM2mEncoder;
import org.eclipse.leshan.core.node.codec.LwM2mValueChecker;
import org.eclipse.leshan.core.node.codec.LwM2mValueConverter;
import org.eclipse.leshan.core.node.codec.NodeDecoder;
import org.eclipse.leshan.core.node.codec.NodeEncoder;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.SendResponse;
import org.eclipse.leshan.core.response.WriteResponse;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;

public class LeshanPeer {
    private static final int SHORT_SERVER_ID = 123;
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private static synchronized void say(String line)
    {
        OUT.println(line);
    }

    /** An object instance that answers from a map of values and tells about every write and execute. */
    public static class TableInstance extends BaseInstanceEnabler {
        protected final Map<Integer, Object> single = new LinkedHashMap<>();
        protected final Map<Integer, Map<Integer, Object>> multiple = new LinkedHashMap<>();

        private Type type(int resource)
        {
            return getModel().resources.get(resource).type;
        }

        private String path(int resource)
        {
            return "/" + getModel().id + "/" + getId() + "/" + resource;
        }

        @Override
        public synchronized ReadResponse read(LwM2mServer server, int resource)
        {
            if (single.containsKey(resource)) {
                return ReadResponse.success(
                        org.eclipse.leshan.core.node.LwM2mSingleResource.newResource(resource, single.get(resource), type(resource)));
            }
            if (multiple.containsKey(resource)) {
                return ReadResponse.success(resource, multiple.get(resource), type(resource));
            }
            return super.read(server, resource);
        }

        @Override
        public synchronized WriteResponse write(LwM2mServer server, boolean replace, int resource, LwM2mResource value)
        {
            ResourceModel model = getModel().resources.get(resource);
            if (model == null || (!server.isSystem() && !model.operations.isWritable())) {
                return super.write(server, replace, resource, value);
            }
            if (value.isMultiInstances()) {
                Map<Integer, Object> all = replace ? new HashMap<>() : new HashMap<>(multiple.getOrDefault(resource, Map.of()));
                value.getInstances().forEach((id, instance) -> all.put(id, instance.getValue()));
                multiple.put(resource, all);
                say("EVENT write " + path(resource) + " " + all);
            } else {
                single.put(resource, value.getValue());
                say("EVENT write " + path(resource) + " " + value.getValue());
            }
            fireResourceChange(resource);
            return WriteResponse.success();
        }

        @Override
        public ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments)
        {
            if (!getModel().resources.containsKey(resource) || !getModel().resources.get(resource).operations.isExecutable()) {
                return super.execute(server, resource, arguments);
            }
            say("EVENT execute " + path(resource) + " " + (arguments.isEmpty() ? "-" : arguments.serialize()));
            return ExecuteResponse.success();
        }

        @Override
        public synchronized List<Integer> getAvailableResourceIds(ObjectModel model)
        {
            List<Integer> ids = new ArrayList<>(single.keySet());
            ids.addAll(multiple.keySet());
            model.resources.values().stream().filter(r -> r.operations.isExecutable()).forEach(r -> ids.add(r.id));
            return ids.stream().distinct().sorted().collect(Collectors.toList());
        }

        synchronized void set(int resource, String text)
        {
            Object value = parse(type(resource), text);
            single.put(resource, value);
            fireResourceChange(resource);
        }

        private static Object parse(Type type, String text)
        {
            switch (type) {
            case INTEGER:
                return Long.valueOf(text);
            case FLOAT:
                return Double.valueOf(text);
            case BOOLEAN:
                return Boolean.valueOf(text);
            case TIME:
                return new Date(Long.parseLong(text) * 1000);
            default:
                return text;
            }
        }
    }

    public static class PeerDevice extends TableInstance {
        public PeerDevice()
        {
            single.put(0, "Leshan Peer");
            single.put(1, "Interop");
            single.put(2, "LP-0001");
            single.put(3, "2.0.0");
            single.put(9, 95L);
            single.put(10, 114688L);
            single.put(13, new Date(1700000000000L));
            single.put(14, "+02");
            single.put(15, "Europe/Berlin");
            single.put(16, "U");
            multiple.put(6, new HashMap<>(Map.of(0, 1L, 1, 5L)));
            multiple.put(11, new HashMap<>(Map.of(0, 0L)));
        }
    }

    public static class PeerLocation extends TableInstance {
        public PeerLocation()
        {
            single.put(0, 52.5125);
            single.put(1, 13.3897);
            single.put(5, new Date(1700000000000L));
        }
    }

    public static class PeerTemperature extends TableInstance {
        public PeerTemperature()
        {
            single.put(5700, 22.5);
            single.put(5601, 20.0);
            single.put(5602, 25.0);
            single.put(5701, "Cel");
        }
    }

    /** The library's own test object; told apart only by saying which execute arrived. */
    public static class PeerTestObject extends LwM2mTestObject {
        @Override
        public ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments)
        {
            say("EVENT execute /3442/" + getId() + "/" + resource + " " + (arguments.isEmpty() ? "-" : arguments.serialize()));
            return super.execute(server, resource, arguments);
        }
    }

    private static class Reporter extends LwM2mClientObserverAdapter {
        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String location)
        {
            say("EVENT registered " + location);
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request, ResponseCode code, String message, Exception cause)
        {
            say("EVENT register-failed " + code + " " + message);
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request)
        {
            say("EVENT register-timeout");
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request)
        {
            say("EVENT updated");
        }

        @Override
        public void onUpdateFailure(LwM2mServer server, UpdateRequest request, ResponseCode code, String message, Exception cause)
        {
            say("EVENT update-failed " + code + " " + message);
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request)
        {
            say("EVENT deregistered");
        }

        @Override
        public void onDeregistrationFailure(LwM2mServer server, DeregisterRequest request, ResponseCode code, String message, Exception cause)
        {
            say("EVENT deregister-failed " + code + " " + message);
        }

        @Override
        public void onUnexpectedError(Throwable error)
        {
            say("EVENT error " + error);
        }
    }

    private static Map<String, String> options(String[] arguments)
    {
        Map<String, String> options = new HashMap<>(Map.of("lifetime", "300", "queue", "no"));
        for (int i = 0; i < arguments.length; i++) {
            String name = arguments[i].substring(2);
            options.put(name, name.equals("queue") ? "yes" : arguments[++i]);
        }
        return options;
    }

    private static boolean wanted(ContentFormat format, List<Integer> codes)
    {
        return codes.isEmpty() || codes.contains(format.getCode());
    }

    private static LeshanClient client(Map<String, String> options)
    {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadDefault());
        models.addAll(ObjectLoader.loadObjectsFromDir(new File(options.get("models")), true));

        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(models));
        objects.setInstancesForObject(0, Security.noSec(options.get("url"), SHORT_SERVER_ID));
        objects.setInstancesForObject(1, new Server(SHORT_SERVER_ID, Long.parseLong(options.get("lifetime")), EnumSet.of(BindingMode.U),
                                                    false, BindingMode.U));
        objects.setInstancesForObject(3, new PeerDevice());
        objects.setInstancesForObject(6, new PeerLocation());
        objects.setInstancesForObject(3303, new PeerTemperature());
        objects.setInstancesForObject(3442, new PeerTestObject());
        if (options.containsKey("default")) {
            ContentFormat format = ContentFormat.fromCode(Integer.parseInt(options.get("default")));
            for (int id : new int[] {1, 3, 6, 3303, 3442}) {
                objects.setDefaultContentFormat(id, format);
            }
        }

        DefaultRegistrationEngineFactory engine = new DefaultRegistrationEngineFactory();
        engine.setQueueMode(options.get("queue").equals("yes"));
        engine.setRetryWaitingTimeInMs(2000);
        engine.setDeregistrationTimeoutInMs(5000);

        CaliforniumClientEndpointsProvider.Builder endpoints =
                new CaliforniumClientEndpointsProvider.Builder(new CoapClientProtocolProvider());
        Configuration coap = endpoints.createDefaultConfiguration();
        coap.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, 1 << 20);
        endpoints.setConfiguration(coap);

        LeshanClientBuilder builder = new LeshanClientBuilder(options.get("endpoint"));
        builder.setObjects(objects.createAll());
        builder.setRegistrationEngineFactory(engine);
        builder.setEndpointsProviders(endpoints.build());
        if (options.containsKey("formats")) {
            List<Integer> codes = Arrays.stream(options.get("formats").split(",")).map(Integer::valueOf).collect(Collectors.toList());
            LwM2mValueConverter converter = new LwM2mValueChecker();
            Map<ContentFormat, NodeEncoder> encoders = DefaultLwM2mEncoder.getDefaultNodeEncoders(false);
            Map<ContentFormat, NodeDecoder> decoders = DefaultLwM2mDecoder.getDefaultNodeDecoders(false);
            encoders.keySet().removeIf(format -> !wanted(format, codes));
            decoders.keySet().removeIf(format -> !wanted(format, codes));
            builder.setEncoder(new DefaultLwM2mEncoder(encoders, DefaultLwM2mEncoder.getDefaultPathEncoder(), converter));
            builder.setDecoder(new DefaultLwM2mDecoder(decoders, DefaultLwM2mDecoder.getDefaultPathDecoder()));
        }
        return builder.build();
    }

    private static LwM2mServer server(LeshanClient client)
    {
        return client.getRegisteredServers().values().stream().findFirst().orElseThrow(() -> new IllegalStateException("not registered"));
    }

    private static void command(LeshanClient client, String[] words) throws Exception
    {
        switch (words[0]) {
        case "set": {
            LwM2mPath path = new LwM2mPath(words[1]);
            ObjectEnabler object = (ObjectEnabler) client.getObjectTree().getObjectEnabler(path.getObjectId());
            ((TableInstance) object.getInstance(path.getObjectInstanceId())).set(path.getResourceId(), words[2]);
            break;
        }
        case "send": {
            SendResponse response = client.getSendService().sendData(server(client), ContentFormat.fromCode(Integer.parseInt(words[1])),
                                                                     Arrays.asList(words).subList(2, words.length), 5000);
            say("EVENT sent " + (response == null ? "timeout" : response.getCode().toString()));
            break;
        }
        case "update":
            client.triggerRegistrationUpdate();
            break;
        case "create": {
            LwM2mInstanceEnabler instance = new PeerTemperature();
            ObjectEnabler object = (ObjectEnabler) client.getObjectTree().getObjectEnabler(Integer.parseInt(words[1]));
            instance.setId(Integer.parseInt(words[2]));
            instance.setModel(object.getObjectModel());
            object.addInstance(Integer.parseInt(words[2]), instance);
            break;
        }
        case "delete":
            ((ObjectEnabler) client.getObjectTree().getObjectEnabler(Integer.parseInt(words[1]))).removeInstance(Integer.parseInt(words[2]));
            break;
        default:
            throw new IllegalArgumentException("unknown command " + words[0]);
        }
        say("OK " + words[0]);
    }

    public static void main(String[] arguments) throws Exception
    {
        LeshanClient client = client(options(arguments));
        client.addObserver(new Reporter());
        client.getObjectTree().addListener(new ObjectsListenerAdapter() {
            @Override
            public void objectInstancesAdded(LwM2mObjectEnabler object, int... ids)
            {
                Arrays.stream(ids).forEach(id -> say("EVENT created " + object.getId() + " " + id));
            }

            @Override
            public void objectInstancesRemoved(LwM2mObjectEnabler object, int... ids)
            {
                Arrays.stream(ids).forEach(id -> say("EVENT deleted " + object.getId() + " " + id));
            }
        });
        client.start();
        say("EVENT started");

        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = commands.readLine()) != null && !line.equals("stop")) {
            if (line.equals("kill")) {
                Runtime.getRuntime().halt(0);
            }
            try {
                command(client, line.trim().split(" +"));
            } catch (Exception failure) {
                say("ERR " + failure);
            }
        }
        client.destroy(true);
        say("EVENT stopped");
        System.exit(0);
    }
}
